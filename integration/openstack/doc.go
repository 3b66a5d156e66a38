// Package openstacklab starts a small real OpenStack on this machine, on a lab
// Ceph: Keystone, Placement, Glance, Cinder and Nova of Debian 12 (Zed), with
// libvirt and QEMU (no KVM), MariaDB and RabbitMQ, and a stand-in for Neutron
// (package fakeneutron). All is on loopback ports, in one directory, and in a
// process and a mount namespace of its own (package supervisor), so that
// several labs and whatever else is installed do not meet. Only the network
// bridges are on the machine itself; their names are the lab's and they go
// with it.
//
// It needs root and `integration/install-deps.sh openstack`.
//
// A lab ends when it is stopped or, unless it was started Detached, when the
// process that started it ends, however it ends.
package openstacklab
