package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

const (
	adminToken = "test-admin-token"
	hookToken  = "test-hook-token"
	// secondToken is of another admin, where it takes two.
	secondToken = "test-second-token"
)

// site is a place with a pool (or a namespace of one) on the lab's Ceph, a
// configuration and a state directory. Daemons are started over it.
type site struct {
	t   *testing.T
	ctx context.Context
	lab *cephlab.Lab
	// spec is the pool, or pool/namespace.
	spec       string
	dir        string
	configPath string
	clockPath  string
	policyPath string
}

// defaultPolicy keeps explained disks for ten days and the others for twenty.
const defaultPolicy = `rules:
  - {name: unexplained, match: "!explained", retain: 20d}
default: {retain: 10d}
`

// siteOptions change what newSite makes.
type siteOptions struct {
	lab     *cephlab.Lab // nil: the shared one
	spec    string       // "": a new pool
	unguard bool
	clouds  string // "": one, generic
}

// newSite makes a site of its own and guards its pool.
func newSite(t *testing.T, o siteOptions) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	s := &site{t: t, ctx: ctx, lab: o.lab, spec: o.spec, dir: t.TempDir()}
	if s.lab == nil {
		s.lab = cephlab.Shared(t)
	}
	if s.spec == "" {
		var err error
		if s.spec, err = s.lab.NewPool(ctx, "daemon"); err != nil {
			t.Fatal(err)
		}
	}
	s.configPath, s.clockPath, s.policyPath = filepath.Join(s.dir, "quarantined.yaml"), filepath.Join(s.dir, "clock"), filepath.Join(s.dir, "policy.yaml")
	s.shiftClock(0)
	write(t, s.policyPath, defaultPolicy)
	write(t, filepath.Join(s.dir, "admin.token"), adminToken+"\n")
	write(t, filepath.Join(s.dir, "hook.token"), hookToken+"\n")
	write(t, filepath.Join(s.dir, "second.token"), secondToken+"\n")
	clouds := o.clouds
	if clouds == "" {
		clouds = "  - {name: os, type: generic}\n"
	}
	pool, namespace, _ := strings.Cut(s.spec, "/")
	write(t, s.configPath, fmt.Sprintf(`listen: 127.0.0.1:0
state_dir: %[1]s/state
policies: %[2]s
tokens:
  - {name: carol, role: admin, file: %[1]s/admin.token}
  - {name: dave, role: admin, file: %[1]s/second.token}
  - {name: nova, role: hook, cloud: os, file: %[1]s/hook.token}
clouds:
%[3]sclusters:
  - name: lab
    conf: %[4]s
    op_timeout: 20s
    pools:
      - {name: %[5]s, namespace: %[6]q, cloud: os, guard: %[7]v}
capture: {settle: 50ms}
collect: {grace: 1d, max_clock_jump: 400d, schedule: "0 0 1 1 *"}
reconcile: {schedule: "0 0 1 1 *"}
guard: {schedule: "0 0 1 1 *", watch: 1m}
jitter: 1ms
log: {level: debug}
`, s.dir, s.policyPath, clouds, s.lab.Conf, pool, namespace, !o.unguard))
	if !o.unguard {
		s.guardPool(pool)
	}
	return s
}

// guardPool switches the pool's guard on, as `quarantinectl ceph guard on`
// does.
func (s *site) guardPool(pool string) {
	s.t.Helper()
	for _, kv := range [][2]string{{"rbd_move_to_trash_on_remove_expire_seconds", "315360000"}, {"rbd_move_to_trash_on_remove", "true"}} {
		if _, err := s.lab.RBD(s.ctx, cephlab.Quarantine, "config", "pool", "set", pool, kv[0], kv[1]); err != nil {
			s.t.Fatal(err)
		}
	}
}

// shiftClock sets the daemon's clock that far from the machine's.
func (s *site) shiftClock(d time.Duration) {
	s.t.Helper()
	tmp := s.clockPath + ".new"
	write(s.t, tmp, fmt.Sprint(int(d.Seconds())))
	if err := os.Rename(tmp, s.clockPath); err != nil {
		s.t.Fatal(err)
	}
}

// rbd runs `rbd` with the cloud's key.
func (s *site) rbd(args ...string) string {
	s.t.Helper()
	out, err := s.lab.RBD(s.ctx, cephlab.Cloud, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// image makes a live image with random bytes, and returns them.
func (s *site) image(name string) []byte {
	s.t.Helper()
	b := make([]byte, 5<<20)
	rand.Read(b[1<<20 : 2<<20]) // a hole, data, a hole
	rand.Read(b[len(b)-4096:])
	path := filepath.Join(s.dir, "image.raw")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.rbd("import", "--no-progress", path, s.spec+"/"+name)
	return b
}

// content reads a live image (or image@snapshot).
func (s *site) content(name string) []byte {
	s.t.Helper()
	path := filepath.Join(s.dir, "content.raw")
	_ = os.Remove(path) // of the last call, if any
	s.rbd("export", "--no-progress", name, path)
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// remove removes a live image with the cloud's key, as Nova does.
func (s *site) remove(name string) {
	s.t.Helper()
	s.rbd("rm", "--no-progress", s.spec+"/"+name)
}

// trash returns what `rbd trash ls` shows but for canaries: id → name.
func (s *site) trash() map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(s.rbd("trash", "ls", s.spec)) {
		if id, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != quarantine.CanaryName {
			out[id] = name
		}
	}
	return out
}

// live returns what `rbd ls` shows.
func (s *site) live() []string {
	s.t.Helper()
	return strings.Fields(s.rbd("ls", s.spec))
}

// disks returns the disks in the states, all if there are none.
func (p *process) disks(states ...quarantine.State) []wire.Disk {
	p.t.Helper()
	q := client.Query{States: states}
	var out []wire.Disk
	for d, err := range p.Disks(p.t.Context(), q) {
		if err != nil {
			p.t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

// wait waits until n disks are in the state, and returns them.
func (p *process) wait(n int, state quarantine.State) []wire.Disk {
	p.t.Helper()
	var found []wire.Disk
	eventually(p.t, fmt.Sprintf("%d disks are %s", n, state), func() error {
		found = p.disks(state)
		if len(found) != n {
			return fmt.Errorf("%d are", len(found))
		}
		return nil
	})
	return found
}

// unwatched waits until nobody has the disks' images open: Ceph knows a daemon that
// was killed as their watcher for 30 s more, in which they are not purged.
func (s *site) unwatched(disks ...wire.Disk) {
	s.t.Helper()
	eventually(s.t, "no image is open", func() error {
		for _, d := range disks {
			out, err := s.lab.Rados(s.ctx, cephlab.Admin, "-p", s.spec, "listwatchers", "rbd_header."+d.ImageID)
			if err != nil || out != "" {
				return fmt.Errorf("%s: %q, %v", d.OriginalName, out, err)
			}
		}
		return nil
	})
}

// job runs a job and checks that it came to its end without a failed act.
func (p *process) job(name string) quarantine.Report {
	p.t.Helper()
	rep := p.tryJob(name)
	if rep.Stopped != "" || rep.Failed() > 0 {
		p.t.Fatalf("%s: stopped %q, %+v", name, rep.Stopped, rep.Items)
	}
	return rep
}

// tryJob runs a job, and waits while it is running already.
func (p *process) tryJob(name string) quarantine.Report {
	p.t.Helper()
	var rep quarantine.Report
	eventually(p.t, "run "+name, func() (err error) {
		rep, err = p.RunJob(p.t.Context(), name, wire.JobRequest{})
		if err != nil && !errors.Is(err, quarantine.ErrBusy) {
			p.t.Fatalf("run %s: %v", name, err)
		}
		return err
	})
	return rep
}

// bytesOf exports a disk through the daemon.
func (p *process) bytesOf(id string) []byte {
	p.t.Helper()
	var sink memorySink
	if _, err := p.Export(p.t.Context(), id, wire.ReasonRequest{Reason: "a test"}, &sink); err != nil {
		p.t.Fatalf("export %s: %v", id, err)
	}
	return sink.b
}

type memorySink struct{ b []byte }

func (m *memorySink) Begin(size int64) error { m.b = make([]byte, size); return nil }

func (m *memorySink) Extent(offset int64, data []byte) error {
	copy(m.b[offset:], data)
	return nil
}

// same fails the test unless the bytes are equal.
func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes differ from the %d that the disk had", what, len(got), len(want))
	}
}

// deletion is a report of the generic form.
type deletion struct {
	Kind         string   `json:"kind,omitempty"`
	ResourceID   string   `json:"resource_id"`
	ResourceName string   `json:"resource_name,omitempty"`
	Project      string   `json:"project,omitempty"`
	User         string   `json:"user,omitempty"`
	Addresses    []string `json:"addresses,omitempty"`
	RequestID    string   `json:"request_id,omitempty"`
	StartedAt    string   `json:"started_at,omitempty"`
	EndedAt      string   `json:"ended_at,omitempty"`
	Disks        []ref    `json:"disks"`
}

type ref struct {
	Name     string `json:"name"`
	Role     string `json:"role,omitempty"`
	Required bool   `json:"required,omitempty"`
}

// post reports deletions through the hook.
func (p *process) post(ds ...deletion) {
	p.t.Helper()
	for _, d := range ds {
		b, err := json.Marshal(d)
		if err != nil {
			p.t.Fatal(err)
		}
		if _, err := p.Hook(p.t.Context(), "generic", "os", false, b); err != nil {
			p.t.Fatalf("hook: %v", err)
		}
	}
}

// configure changes the configuration.
func (s *site) configure(old, text string) {
	s.t.Helper()
	b, err := os.ReadFile(s.configPath)
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		s.t.Fatalf("the configuration has no %q", old)
	}
	write(s.t, s.configPath, strings.Replace(string(b), old, text, 1))
}

// loseCatalog removes the catalog's files.
func (s *site) loseCatalog() {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "state", "catalog.db*"))
	if err != nil || len(files) == 0 {
		s.t.Fatalf("the catalog's files: %q, %v", files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			s.t.Fatal(err)
		}
	}
}

// asText is what outlives a catalog of disks, in the order of their ids.
func asText(t *testing.T, disks []wire.Disk) string {
	t.Helper()
	slices.SortFunc(disks, func(a, b wire.Disk) int { return strings.Compare(a.ID, b.ID) })
	var out strings.Builder
	for _, d := range disks {
		d.UsedBytes = 0 // measured again
		// The grace begins anew: what is read from images may lengthen, and never
		// shorten.
		d.ExpiringAt = time.Time{}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s\n", b)
	}
	return out.String()
}

// newNamespace makes a namespace in the pool and returns pool/namespace. It is
// cheaper than a pool, and has a trash of its own.
func newNamespace(t *testing.T, lab *cephlab.Lab, pool string) string {
	t.Helper()
	b := make([]byte, 4)
	rand.Read(b)
	spec := fmt.Sprintf("%s/%x", pool, b)
	if _, err := lab.RBD(t.Context(), cephlab.Admin, "namespace", "create", spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// clientQuery selects the disks in a state.
func clientQuery(state quarantine.State) client.Query {
	return client.Query{States: []quarantine.State{state}}
}
