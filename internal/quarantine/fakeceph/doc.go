// Package fakeceph is a Ceph in memory, for tests of the domain: pools with
// the guard's settings, live images with sparse content, snapshots, clones,
// metadata, watchers, and the RBD trash. It behaves as librbd 16 was seen to
// behave, refusals included; the conformance suite of the real adapter runs on
// it too. Time comes from a stepped clock, and any call can be made to fail,
// to wait, or to be seen.
//
// What an attacker, an operator or a cloud does to Ceph has methods that begin
// with Cloud; they are no part of the domain's interfaces.
package fakeceph
