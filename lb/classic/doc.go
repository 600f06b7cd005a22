// Package classic is the balancer of the original Lars, exact to the step but
// for where its round begins.
//
// Hosts are taken in turn from the idle queue. A host is ejected when too
// large a share of its calls fails, when too many fail in a row, or when most
// calls of a whole window failed. While hosts are ejected, every ProbeNum + 1st
// pick tries the one at the head of their queue; enough successes, or
// OverloadTimeout, bring it back.
//
//	b := classic.New(classic.DefaultConfig(), rand.Uint64())
//
// The original begins each round at the first host of the route, so that all
// agents of a fleet that starts call the same hosts first. Here the first
// place is an argument.
//
// One dead host of N takes about 9 % of all calls, whatever N is, because it is
// probed as long as it is ejected. Not ejecting at all costs 1/N, so above 11
// hosts this policy makes a dead host worse.
package classic
