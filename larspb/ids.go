package larspb

// Message ids as a frame carries them.
const (
	IDGetRouteRequest     = int32(MessageId_ID_GetRouteRequest)
	IDGetRouteResponse    = int32(MessageId_ID_GetRouteResponse)
	IDReportStatusRequest = int32(MessageId_ID_ReportStatusRequest)
	IDGetHostRequest      = int32(MessageId_ID_GetHostRequest)
	IDGetHostResponse     = int32(MessageId_ID_GetHostResponse)
	IDReportRequest       = int32(MessageId_ID_ReportRequest)
	IDAPIGetRouteRequest  = int32(MessageId_ID_API_GetRouteRequest)
	IDAPIGetRouteResponse = int32(MessageId_ID_API_GetRouteResponse)
	IDChallenge           = int32(MessageId_ID_Challenge)
	IDProof               = int32(MessageId_ID_Proof)
)
