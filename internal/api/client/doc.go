// Package client speaks to the daemon over its HTTP API. It has one method for
// each route, knows nothing of terminals or flags, and needs no cgo.
//
// An error is one of three things: a *wire.Problem (the daemon answered and
// said no; it unwraps to the domain's sentinels), an error that wraps
// ErrUnreachable (no answer, or one that is not the daemon's), or the
// context's. No request that changes anything is sent a second time; if its
// answer is lost, the error wraps ErrUncertain as well.
package client
