// Package cloudtest is what every quarantine.CloudWriter must do, as tests: run
// on the fake of fakecloud, and on a real cloud with its Ceph.
package cloudtest
