//go:build openstack

package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	openstacklab "quarantine/integration/openstack"
	"quarantine/internal/api/wire"
)

// binaries names the variable with the directory of quarantined and
// quarantinectl, as `make build` makes them.
const binaries = "QUARANTINE_BIN"

const token = "acceptance-admin"

// site is the product beside a lab: a configuration, a state directory, and at
// most one daemon over them. The lab's pools are shared, so there is one site
// to a test process; tests that stop things, or change settings, are not
// parallel.
type site struct {
	lab    *openstacklab.Lab
	dir    string
	bin    string
	daemon *daemon
}

// theSite is the site of the test process; TestMain makes and ends it.
var theSite *site

func TestMain(m *testing.M) { os.Exit(withSite(m)) }

func withSite(m *testing.M) int {
	dir, err := os.MkdirTemp("", "acceptance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	theSite = &site{dir: dir, bin: os.Getenv(binaries)}
	code := m.Run()
	if d := theSite.daemon; d != nil {
		if err := d.end(os.Interrupt); err != nil {
			fmt.Fprintln(os.Stderr, "stop the daemon:", err)
			code = 1
		}
	}
	if code != 0 {
		fmt.Fprintln(os.Stderr, "the site's files are kept in", dir)
		return code
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// policy is the policy of the site: a tenant asks for more with the metadata
// key "keep", and for less with "drop".
const policy = `rules:
  - {name: unexplained, match: "!explained", retain: 20d}
  - {name: wished-longer, match: '"keep" in metadata', retain: 90d}
  - {name: wished-shorter, match: '"drop" in metadata', retain: 1d}
default: {retain: 10d}
`

// options are what a daemon is configured with beyond the usual.
type options struct {
	// unguarded pools are seized from; the lab's guard is the caller's matter.
	unguarded bool
	// noEvents leaves the message bus out.
	noEvents bool
	// queue is the queue on the message bus; "" is the usual one, which keeps
	// what comes while there is no daemon.
	queue string
	// lostAfter is how long a disk may take to arrive, as in "1s"; "" is the
	// product's own patience.
	lostAfter string
}

// running returns the site with its daemon running over guarded pools, with
// the message bus and the APIs.
func running(t *testing.T) *site {
	t.Helper()
	s := prepared(t)
	if s.daemon == nil || !s.daemon.alive() {
		s.start(t, options{})
	}
	return s
}

// prepared returns the site, whatever its daemon does.
func prepared(t *testing.T) *site {
	t.Helper()
	s := theSite
	if s.bin == "" {
		t.Fatalf("%s is not set: run make test-openstack", binaries)
	}
	if s.lab == nil {
		s.lab = openstacklab.Shared(t)
		write(t, s.path("token"), token+"\n")
		write(t, s.path("policy.yaml"), policy)
		write(t, s.path("bus.url"), s.lab.BrokerURL()+"\n")
	}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// configure writes the daemon's configuration. Its jobs run when tests ask for
// them, not by the clock.
func (s *site) configure(t *testing.T, o options) {
	t.Helper()
	pools := s.lab.Pools()
	bus := fmt.Sprintf("    notifications: {url_file: %s, queue: %q}\n", s.path("bus.url"), o.queue)
	if o.noEvents {
		bus = ""
	}
	patience := ""
	if o.lostAfter != "" {
		patience = ", lost_after: " + o.lostAfter
	}
	write(t, s.path("quarantined.yaml"), fmt.Sprintf(`listen: 127.0.0.1:0
state_dir: %[1]s/state
policies: %[1]s/policy.yaml
tokens:
  - {name: carol, role: admin, file: %[1]s/token}
clouds:
  - name: os
    type: openstack
%[2]s    api: {image_pool: %[7]s}
clusters:
  - name: lab
    conf: %[3]s
    pools:
      - {name: %[4]s, cloud: os, guard: %[8]v}
      - {name: %[5]s, cloud: os, guard: %[8]v}
      - {name: %[6]s, cloud: os, guard: %[8]v}
capture: {settle: 200ms}
inquire: {schedule: "0 0 1 1 *", every: 1s, settle: 1s}
collect: {grace: 1d, schedule: "0 0 1 1 *"}
reconcile: {schedule: "0 0 1 1 *"%[9]s}
guard: {schedule: "0 0 1 1 *"}
jitter: 1ms
log: {level: debug}
`, s.dir, bus, s.lab.Ceph.Conf, pools.VMs, pools.Volumes, pools.Images, pools.Images, !o.unguarded, patience))
}

// ctl runs quarantinectl and returns what it printed and its exit status. Its
// errors go to the test's log.
func (s *site) ctl(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "quarantinectl"), args...)
	cmd.Env = append(os.Environ(), "QUARANTINE_SERVER=http://"+s.daemon.addr, "QUARANTINE_TOKEN="+token)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("quarantinectl %q: %v", args, err)
	}
	if complaints.Len() > 0 {
		t.Logf("quarantinectl %q: %s", args, &complaints)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// mustCtl is ctl for what must succeed (0, or 5 where nothing was to do).
func (s *site) mustCtl(t *testing.T, args ...string) string {
	t.Helper()
	out, code := s.ctl(t, args...)
	if code != 0 && code != 5 {
		t.Fatalf("quarantinectl %q: exit status %d\n%s", args, code, out)
	}
	return out
}

// disks lists the disks that quarantinectl list selects.
func (s *site) disks(t *testing.T, filter ...string) []wire.Disk {
	t.Helper()
	var found []wire.Disk
	out := s.mustCtl(t, append([]string{"list", "--all", "-o", "json"}, filter...)...)
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("quarantinectl list: %v\n%s", err, out)
	}
	return found
}

// show is quarantinectl show.
func (s *site) show(t *testing.T, id string) wire.DiskDetail {
	t.Helper()
	var d wire.DiskDetail
	out := s.mustCtl(t, "show", id, "-o", "json")
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("quarantinectl show: %v\n%s", err, out)
	}
	return d
}

// captured waits until there is a disk of that original name in quarantine, and
// returns the last one; also returns when it is joined with a deletion of the
// kind, where one is given.
func (s *site) captured(t *testing.T, name, kind string) wire.Disk {
	t.Helper()
	var last []wire.Disk
	for deadline := time.Now().Add(3 * time.Minute); ; {
		last = s.disks(t, "--name", name)
		for i := len(last) - 1; i >= 0; i-- {
			d := last[i]
			if d.OriginalName == name && d.State == "quarantined" && (kind == "" || d.Kind == kind) {
				return d
			}
		}
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("no disk %s by a deletion of kind %q; there are %s\nthe daemon's log:\n%s", name, kind, asJSON(last), s.daemon.tail(40))
		}
		wait(t)
	}
}

// wait is the pause between two looks at a condition.
func wait(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(400 * time.Millisecond):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

func asJSON(v any) string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// session signs in.
func (s *site) session(t *testing.T, who openstacklab.Identity) *openstacklab.Session {
	t.Helper()
	session, err := s.lab.As(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// in reports whether a line of the text has the word.
func in(text, word string) bool { return strings.Contains(text, word) }
