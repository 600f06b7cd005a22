// Package call is what a call to a host means for the host: how a call that
// failed went wrong, and whether it may be made again.
//
//	switch kind := call.Classify(err); kind {
//	case lb.KindRefused, lb.KindTimeout: // no answer came
//	case lb.KindError, lb.KindOverloaded: // the host's own answer
//	case lb.KindIgnored: // not the host's fault
//	}
//	if call.MayRepeat(err, idempotent) && budget.Take() { ... } // on another host
//
// An error says its kind itself if it was made by [WithKind] or has a method
// CallKind; this is how an answer like HTTP's 429 and 503 becomes
// lb.KindOverloaded. Everything else goes by the errors of package net.
//
// The functions are pure and safe for concurrent use; a [Budget] is not.
//
// Left out on purpose: making the calls, which is package client's, and what a
// balancer concludes from a kind, which is package lb's.
package call
