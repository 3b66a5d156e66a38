// Package fakecloud is a cloud in memory, over the Ceph of fakeceph: volumes,
// images and servers, as far as a restore makes them. It keeps the contract of
// quarantine.CloudWriter (see cloudtest), and can be made to fail.
package fakecloud
