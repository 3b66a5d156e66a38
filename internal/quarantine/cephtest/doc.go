// Package cephtest is the conformance suite of the domain's Ceph ports
// (quarantine.Trash, Images, Cloner, Reader, Guard, Clusters, Remover). It
// runs on the fake in memory and on a real Ceph: what the domain's tests prove
// on the one holds on the other.
//
// Each check is a sentence of the ports' contracts, or something that the
// domain relies on and that could differ between the two.
package cephtest
