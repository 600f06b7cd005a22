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
	IDUnsubscribe         = int32(MessageId_ID_Unsubscribe)
	IDReportAck           = int32(MessageId_ID_ReportAck)
	IDPing                = int32(MessageId_ID_Ping)
	IDPong                = int32(MessageId_ID_Pong)
	IDHello               = int32(MessageId_ID_Hello)
	IDServerProof         = int32(MessageId_ID_ServerProof)
)

// Level is what this build speaks: it understands all ids above. A peer
// learns it from the level field of requests and answers, and sends an id
// above 101 only on a connection on which it has seen one.
const Level = 1
