// Package keys declares the keys of the servers' configuration files: which
// field of which Config each of them fills. The servers are libraries and know
// nothing of files.
//
//	set := config.NewSet("lars-dns")
//	cfg := keys.DNS(set) // loading the set fills it
//
// The Config is complete when the set has been loaded.
package keys
