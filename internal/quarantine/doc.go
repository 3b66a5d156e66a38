// Package quarantine is the domain: what a Deletion, a Disk, a seal and a hold
// are, which states a Disk may pass through, and in which order the dangerous
// steps happen. It knows nothing of Ceph, SQL, HTTP or any cloud; the adapters
// implement the small interfaces declared here (see ports.go), and it imports
// the standard library only.
//
// # Words
//
// A Deletion is a cloud's report that a VM, volume or image was, or is being,
// destroyed or wiped. It is a claim. A Disk is one quarantined RBD image; its
// key is (Ceph fsid, pool, namespace, image id), never its name: names in the
// RBD trash are not unique, and a rebuild reuses them. To adopt is to take a
// trash entry under quarantine; to seal is to take the snapshot named
// SealSnapshot on it, which is the evidence and which Ceph refuses to remove
// an image with, even by force. retain-until only grows. A hold stops expiry.
// To expire is to mark (reversible); to purge is to free the space
// (irreversible), always in a later pass.
//
// # Authority
//
// The code that listens, adopts, holds, restores and exports receives
// interfaces without any removing method. Remover is the only interface that
// can destroy, and NewCollector is the only constructor that takes it.
//
// # One door
//
// Every change of a Disk's state goes through Ledger.move. The legality check,
// the custody entry, the metric and the log line hang there.
package quarantine
