// Package larspb holds the messages that Lars speaks, as C++ peers know them.
//
// lars.pb.go is generated from lars.proto (make generate). Beside it stand
// the frame that carries a message, the ids, the return codes with their
// errors, and codecs without allocation for the small messages of the
// agent's hot path. Everything here is pure and safe for concurrent use.
package larspb
