// Package ceph implements the domain's Ceph ports with go-ceph (librados and
// librbd); nothing else imports go-ceph.
//
// # Authority
//
// Registry, which everybody gets, has no method that destroys. Those are on
// Remover, which only the wiring makes, for the collector. The one use of
// librbd's ordinary remove here is the canary's, on the canary's own image.
//
// # Calls that hang
//
// A librbd call cannot be cancelled. Every call runs on a goroutine of its
// own, in one of a bounded number of slots, on a connection whose
// rados_mon_op_timeout and rados_osd_op_timeout end it while Ceph hangs. A
// caller whose context ends goes away with an error; the call is left to end
// by itself, its late result is released, and Close waits for it.
package ceph
