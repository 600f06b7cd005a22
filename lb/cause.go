package lb

// Cause is why a host was ejected, as a number for messages.
type Cause uint8

const (
	CauseNone    Cause = iota // it was not
	CauseOther                // one that has no number
	CauseRefused              // connects refused
	CauseSilent               // connects not answered
	CauseRate                 // too many calls failed
	CauseRow                  // too many calls in a row failed
	CauseWindow               // too many calls of a window failed
)

// causes are the reasons of events of the kind Ejected.
var causes = map[string]Cause{
	"connects refused":              CauseRefused,
	"tests refused":                 CauseRefused,
	"connects not answered":         CauseSilent,
	"evidence of failures":          CauseRate,
	"evidence of failed tests":      CauseRate,
	"share of failures":             CauseRate,
	"failures in a row":             CauseRow,
	"share of failures in a window": CauseWindow,
}

// Cause returns why the host was ejected; CauseNone for an event of another kind.
func (e *Event) Cause() Cause {
	if e.Kind != Ejected {
		return CauseNone
	}
	if c, ok := causes[e.Reason]; ok {
		return c
	}
	return CauseOther
}
