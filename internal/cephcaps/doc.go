// Package cephcaps knows Ceph's capability strings as far as the guard needs
// it: which caps a cloud's key may have so that it works and cannot switch the
// guard off, which caps this service needs, and whether the caps of a key that
// exists could switch a pool's guard off.
//
// The guard is the pool setting rbd_move_to_trash_on_remove, which librbd
// keeps in the omap of the object rbd_info of the pool, outside any namespace;
// it holds for the images of all namespaces, and an object rbd_info inside a
// namespace means nothing (measured with librbd 16). Whoever can write that
// one object can switch the guard off.
package cephcaps
