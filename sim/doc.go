// Package sim runs the balancers of Lars, and models of others, against
// simulated hosts in virtual time.
//
//	scenario, err := sim.Parse(text)
//	make, err := sim.PolicyOf("adaptive")
//	result := sim.Run(scenario, make)
//	fmt.Println(result.Failed.Sum(10*time.Second, 20*time.Second))
//
// Agents pick hosts by a Poisson process, hosts serve calls with workers and a
// queue, and steps of the scenario make hosts die, hang, fail or slow down. The
// engine of the agent and the balancer in it are the production ones: they get
// the calls, ticks, probes and answers that an agent gives them, and no other
// knowledge. An agent is a service of an engine.
//
// A run depends on the scenario, its seed included, and on nothing else. The
// models of Envoy, linkerd and others are those policies at their defaults,
// without what an operator can add.
//
// Left out: networks other than lost probes and reports, connections, and
// programs that call several services.
package sim
