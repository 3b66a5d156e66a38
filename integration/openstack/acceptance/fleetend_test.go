//go:build openstack

package acceptance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	openstacklab "quarantine/integration/openstack"
)

// remaining counts the servers that the cloud still has.
func (f *fleet) remaining(t *testing.T) int {
	t.Helper()
	there, err := listed(t, f.admin, "compute", "servers", "all_tenants=1")
	must(t, err)
	n := 0
	for _, m := range f.servers {
		if there[m.id] != "" {
			n++
		}
	}
	return n
}

// deleteServers asks for the deletion of all servers at once.
func (f *fleet) deleteServers(t *testing.T) {
	t.Helper()
	f.began = time.Now().UTC().Truncate(time.Second)
	must(t, forAll(t.Context(), len(f.servers), func(ctx context.Context, i int) error {
		return f.servers[i].deleter.Delete(ctx, f.servers[i].id)
	}))
}

// waitSomeGone waits until some servers are gone, and not all.
func (f *fleet) waitSomeGone(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; wait(t) {
		switch n := f.remaining(t); {
		case n == 0:
			t.Fatal("all servers are gone: there is no middle")
		case n < len(f.servers):
			t.Logf("%d of %d servers are gone", len(f.servers)-n, len(f.servers))
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no server is gone")
		}
	}
}

// waitGone waits until the cloud has deleted all servers.
func (f *fleet) waitGone(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; wait(t) {
		n := f.remaining(t)
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d servers are still there: %s", n, trouble(t, f.admin))
		}
	}
}

// deleteVolumes deletes, all at once, the volumes that have outlived their
// servers, and waits until Cinder has.
func (f *fleet) deleteVolumes(t *testing.T) {
	t.Helper()
	must(t, forAll(t.Context(), len(f.volumes), func(ctx context.Context, i int) error {
		return f.alice.DeleteVolume(ctx, f.volumes[i].volume)
	}))
	for deadline := time.Now().Add(patience); ; wait(t) {
		there, err := listed(t, f.alice, "volume", "volumes", "")
		must(t, err)
		if !slices.ContainsFunc(f.volumes, func(v expected) bool { _, ok := there[v.volume]; return ok }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("volumes are still there: %s", trouble(t, f.admin))
		}
	}
}

// trouble names the servers and volumes of all tenants that are in a state of
// error; "" if there are none.
func trouble(t *testing.T, admin *openstacklab.Session) string {
	t.Helper()
	var all []string
	for _, q := range []struct{ service, what, status string }{
		{"compute", "servers", "ERROR"}, {"volume", "volumes", "error"}, {"volume", "volumes", "error_deleting"},
	} {
		found, err := listed(t, admin, q.service, q.what, "all_tenants=1&status="+q.status)
		must(t, err)
		for id, name := range found {
			v := openstacklab.Server{}
			if q.what == "servers" {
				v, _ = admin.Server(t.Context(), id) // the reason is an extra
			}
			all = append(all, fmt.Sprintf("%s %s (%s) %s: %s", q.what, id, name, q.status, v.Fault.Message))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}
