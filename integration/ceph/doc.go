// Package cephlab starts and stops a small real Ceph on this machine: one
// monitor, one manager and one OSD (BlueStore in a sparse file), with cephx,
// in a private directory and on loopback ports. Tests, the demo and `make
// lab-up` use it. It needs Debian's ceph-mon, ceph-mgr, ceph-osd and
// ceph-common, and no root.
//
// Several labs may run at once, also from several processes. A lab ends when
// it is stopped or, unless it was started Detached, when the process that
// started it ends, however it ends.
package cephlab
