//go:build openstack

package acceptance

import (
	"context"
	"os/exec"
	"strings"
	"testing"
)

// All paths are gone through with the caps that quarantinectl ceph caps gives a
// cloud: with its key the guard cannot be switched off.
func TestCloudCannotSwitchTheGuardOff(t *testing.T) {
	s := prepared(t)
	keyring, err := s.lab.Ceph.Ceph(t.Context(), "auth", "get", "client."+s.lab.CephUser())
	must(t, err)
	write(t, s.path("cloud.keyring"), keyring)
	asCloud := func(ctx context.Context, program string, args ...string) (string, error) {
		args = append([]string{"-c", s.lab.Ceph.Conf, "--id", s.lab.CephUser(), "--keyring", s.path("cloud.keyring")}, args...)
		out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
		return string(out), err
	}
	pools := s.lab.Pools()
	for _, pool := range []string{pools.VMs, pools.Volumes, pools.Images} {
		if out, err := asCloud(t.Context(), "rbd", "ls", pool); err != nil {
			t.Fatalf("the cloud's key does not even list %s: %v: %s", pool, err, out)
		}
		for _, attack := range [][]string{
			{"rbd", "config", "pool", "set", pool, "rbd_move_to_trash_on_remove", "false"},
			{"rbd", "config", "pool", "remove", pool, "rbd_move_to_trash_on_remove"},
			{"rados", "-p", pool, "rm", "rbd_info"},
		} {
			if out, err := asCloud(t.Context(), attack[0], attack[1:]...); err == nil {
				t.Errorf("the cloud's key may %q: %s", attack, out)
			}
		}
		out, err := s.lab.Ceph.RBD(t.Context(), "admin", "config", "pool", "get", pool, "rbd_move_to_trash_on_remove")
		must(t, err)
		if strings.TrimSpace(out) != "true" {
			t.Errorf("the guard of %s is %q", pool, out)
		}
	}
}
