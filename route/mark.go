package route

// Mark is what a look at a store shows of the record of edits. Two equal marks
// mean that nothing was recorded in between. An edit may change any of the
// numbers, up or down: the page of the C++ stack sets the version to the Unix
// time, a C++ dns deletes change rows, and on a cluster ids do not come in
// order.
type Mark struct {
	Version uint64 // of the routes
	Newest  uint64 // id of the newest change row, 0 without one
	Rows    uint64 // change rows among the newest ids
}

// Changes is what was recorded between two marks.
type Changes struct {
	Keys []Key // services that edits have touched, in order

	// Accepted is the newest acceptance of the routes as they were stored, the
	// zero value without one.
	Accepted Acceptance
}

// Acceptance is what an operator has accepted.
type Acceptance struct {
	Version uint64 // of the record
	Hosts   uint64 // hosts of all services that were stored then; 0 if Repeated

	Repeated bool // it was recorded before, as Version, under the same ID; nothing was done now
}
