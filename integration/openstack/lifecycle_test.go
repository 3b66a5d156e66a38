//go:build openstack

package openstacklab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
)

// ownerVariable makes the test binary the owner of a lab, to be killed.
const ownerVariable = "OPENSTACKLAB_TEST_OWNER"

// TestMain owns a lab if it is told to.
func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerVariable); dir != "" {
		if err := own(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// own starts a lab and a server, says its bridges, and waits to be killed.
func own(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), StartTimeout)
	defer cancel()
	ceph, err := cephlab.Open(os.Getenv(cephlab.Env))
	if err != nil {
		return err
	}
	l, err := Start(ctx, Options{Dir: dir, Ceph: ceph})
	if err != nil {
		return err
	}
	s, err := l.As(ctx, Demo())
	if err != nil {
		return err
	}
	if _, err := s.Boot(ctx, ServerSpec{}); err != nil {
		return err
	}
	fmt.Println(l.site.Bridges())
	select {}
}

// traces lists what there is of a lab on the machine: its directory, bridges,
// mounts, and processes that have the directory on their command line or in
// their environment.
func traces(t *testing.T, dir, bridges string) []string {
	t.Helper()
	var found []string
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		found = append(found, dir)
	}
	links, err := filepath.Glob("/sys/class/net/" + bridges + "*")
	must(t, err)
	found = append(found, links...)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	if strings.Contains(string(mounts), dir) {
		found = append(found, "a mount")
	}
	for _, file := range []string{"cmdline", "environ"} {
		names, err := filepath.Glob("/proc/[0-9]*/" + file)
		must(t, err)
		for _, name := range names {
			// The owner has the variable, and this process may have it, too.
			b, err := os.ReadFile(name)
			if err == nil && strings.Contains(strings.ReplaceAll(string(b), ownerVariable+"="+dir, ""), dir) {
				found = append(found, name+" "+strings.ReplaceAll(string(b), "\x00", " "))
			}
		}
	}
	return found
}

// A second lab runs beside the first, on the same Ceph. When the process that
// started it is killed, nothing of it is left on the machine: no process (its
// guest's QEMU above all), no bridge, no mount, no file.
func TestLabEndsWithItsOwner(t *testing.T) {
	ctx, first := testContext(t), Shared(t)
	dir := filepath.Join(t.TempDir(), "lab")
	owner := exec.CommandContext(ctx, os.Args[0])
	owner.Env = append(os.Environ(), ownerVariable+"="+dir, cephlab.Env+"="+first.Ceph.Dir)
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	must(t, err)
	must(t, owner.Start())
	lines := bufio.NewScanner(out)
	lines.Scan()
	bridges := lines.Text()
	before := traces(t, dir, bridges)
	for _, want := range []string{"qemu-system-x86_64", "nova-compute", "mariadbd", "/sys/class/net/" + bridges, dir} {
		if !slices.ContainsFunc(before, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("while the lab runs there is no %s", want)
		}
	}
	must(t, owner.Process.Kill())
	_ = owner.Wait() // killed
	if bridges == "" {
		t.Fatal("the owner did not start a lab")
	}
	var left []string
	must(t, poll(ctx, func() (bool, error) {
		left = traces(t, dir, bridges)
		return len(left) == 0, nil
	}, func() string { return fmt.Sprintf("%q is left", left) }))
	if _, err := Open(first.Dir); err != nil {
		t.Errorf("the first lab does not run any more: %v", err)
	}
}

// A service can be stopped and started, killed and started, and paused; the
// cloud notices, and works again after it. What Configure sets is in force.
func TestServicesComeAndGo(t *testing.T) {
	ctx, l := testContext(t), Shared(t)
	s, err := l.As(ctx, Demo())
	must(t, err)
	must(t, l.StopService(ctx, "nova-compute"))
	running, err := l.Running(ctx)
	must(t, err)
	if slices.Contains(running, "nova-compute") || !slices.Contains(running, "nova-api") {
		t.Errorf("after nova-compute was stopped these run: %q", running)
	}
	must(t, l.WaitComputeDown(ctx))
	must(t, l.StartService(ctx, "nova-compute"))
	must(t, l.WaitComputeUp(ctx))

	must(t, l.KillService(ctx, "rabbitmq"))
	must(t, l.StartService(ctx, "rabbitmq"))

	must(t, l.PauseService(ctx, "keystone"))
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	if _, err := l.As(short, Demo()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while keystone is paused a user signs in: %v", err)
	}
	cancel()
	must(t, l.ResumeService(ctx, "keystone"))

	// Deletion is deferred: the server stays, soft-deleted.
	must(t, l.Configure(ctx, "nova", "reclaim_instance_interval = 3600", "nova-api", "nova-compute"))
	v, err := s.Boot(ctx, ServerSpec{NoNetwork: true})
	must(t, err)
	must(t, s.Delete(ctx, v.ID))
	admin, err := l.As(ctx, Admin())
	must(t, err)
	_, err = admin.WaitServer(ctx, v.ID, "SOFT_DELETED")
	must(t, err)
	must(t, admin.ForceDelete(ctx, v.ID))
	must(t, admin.WaitGone(ctx, v.ID))
	must(t, l.Configure(ctx, "nova", "", "nova-api", "nova-compute"))

	for _, name := range []string{"nova-computer", ""} {
		if err := l.StartService(ctx, name); !errors.Is(err, errNoService) {
			t.Errorf("start %q: %v", name, err)
		}
	}
}
