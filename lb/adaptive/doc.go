// Package adaptive is the balancer of Lars: a dead host costs one failed call,
// a slow one gets few calls, and a disturbance of all hosts ejects none.
//
//	b := adaptive.New(adaptive.DefaultConfig(), rand.Uint64())
//
// Among the hosts in rotation two are drawn by weight, and the one with less
// latency x (1 + calls in flight / weight) is picked (Mitzenmacher 2001). What
// is known of a latency is forgotten by the number of picks, not by time.
//
// A host that fails a call or owes an answer is a suspect. The caller connects
// to suspects (Probes, Probed), so a host that refuses or does not answer
// connects is ejected as DEAD after one failed call. It is probed about once a
// second and comes back on probation and on a ramp. Calls that began before an
// ejection say nothing of the host after its return; their tickets tell which
// they are.
//
// A host that takes connections and fails calls is ejected as RATE when the
// log-likelihood ratio of its failures against the rate of the other hosts
// reaches Config.Evidence nats. The window of calls begins where a CUSUM (Page
// 1954) says that the bad spell began. Single calls test whether the host has
// healed, at most one such test in Config.TestEvery calls of the service.
//
// When hosts are missing and the others are in distress, the calls above
// Config.LoadLimit times the share of the live hosts are refused.
//
// Each balancer judges by its own calls and probes only: there is no shared
// number that could be stale. The files are one mechanism each.
package adaptive
