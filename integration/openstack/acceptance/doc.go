// Package acceptance tests the product beside a real OpenStack, as its
// operators run it: the daemon and the CLI are processes, the cloud works with
// the caps that the product gives it, and nothing is known of either but what
// its APIs tell. The tests carry the build tag openstack; `make test-openstack`
// runs them.
package acceptance
