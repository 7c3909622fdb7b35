package plan

// Network is how the crash kernel reaches the servers of its targets.
type Network struct{}
