// Package supervisor keeps the processes of a lab together: it is the first
// process of a process namespace and a mount namespace of their own, in which
// private directories lie over those that the programs insist on (/run,
// /etc/libvirt …). Linux ends every process of the namespace with the first
// one, also those that went into the background, as a guest's QEMU does.
//
// It starts and stops programs by order of a Client, and ends, removing the
// lab's bridges and directory, when it is told to or when its standard input
// ends: that is when the process that started the lab ends, however it does.
package supervisor
