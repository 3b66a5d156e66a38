package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"quarantine/internal/api"
	"quarantine/internal/api/wire"
	"quarantine/internal/catalog"
	"quarantine/internal/generic"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
	"quarantine/internal/quarantine/fakecloud"
)

const day = 24 * time.Hour

// maxBody is small, so that tests of large bodies are quick.
const maxBody = 64 << 10

// The secrets of the tokens; each is named for its role. hook speaks for the
// cloud vac.
const (
	viewer   = "secret-of-vera"
	operator = "secret-of-otto"
	admin    = "secret-of-ada"
	hook     = "secret-of-vac"
)

// actors are the tokens' names.
var actors = map[string]string{viewer: "vera", operator: "otto", admin: "ada", hook: "vac-hook", "": ""}

var (
	vms  = quarantine.PoolRef{FSID: "fsid-1", Pool: "vms"}
	nsed = quarantine.PoolRef{FSID: "fsid-1", Pool: "vms", Namespace: "blue"}
	twin = quarantine.PoolRef{FSID: "fsid-2", Pool: "one"}
	one  = quarantine.PoolRef{FSID: "fsid-1", Pool: "one"}
)

// world is a server over real domain services, a Ceph in memory and a catalog
// in a file. What the daemon itself implements (jobs, doctor, status) is fake.
type world struct {
	t         *testing.T
	ctx       context.Context
	cfg       api.Config
	server    *api.Server
	http      *httptest.Server
	client    *http.Client
	ceph      *fakeceph.Ceph
	cloud     *fakecloud.Cloud // restored to: its volumes are in vms, its images in one
	catalog   *catalog.Catalog
	custody   *custody
	jobs      *jobs
	adopter   *quarantine.Adopter
	applier   *quarantine.PolicyApplier
	rules     string // the policy's file
	approvals *quarantine.Approvals
	record    *quarantine.Recorder

	log      *syncBuffer // the API's own
	netLog   *syncBuffer // net/http's
	clock    *clock
	requests *requests
	reasons  []string // why it is not ready
}

// start makes a world. change may replace parts of the configuration.
func start(t *testing.T, change ...func(w *world)) *world {
	t.Helper()
	w := &world{
		t: t, ctx: t.Context(), custody: &custody{}, jobs: &jobs{}, log: &syncBuffer{}, netLog: &syncBuffer{},
		clock: &clock{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}, requests: newRequests(),
	}
	w.ceph = fakeceph.New(w.clock.Now,
		quarantine.Pool{PoolRef: vms, Cluster: "alpha", Cloud: "vac", Guarded: true, Protect: 3650 * day},
		quarantine.Pool{PoolRef: nsed, Cluster: "alpha", Cloud: "vac", Guarded: true, Protect: 3650 * day},
		quarantine.Pool{PoolRef: one, Cluster: "alpha", Cloud: "nebula", Guarded: true, Protect: 3650 * day},
		quarantine.Pool{PoolRef: twin, Cluster: "beta", Cloud: "nebula", Guarded: true, Protect: 3650 * day},
	)
	w.wire()
	for _, c := range change {
		c(w)
	}
	var err error
	if w.server, err = api.New(w.cfg); err != nil {
		t.Fatal(err)
	}
	w.http = httptest.NewUnstartedServer(w.server.Handler())
	w.http.Config.ErrorLog = log.New(w.netLog, "", 0)
	w.http.Start()
	w.client = w.http.Client()
	t.Cleanup(func() {
		w.http.Close()
		if s := w.netLog.String(); s != "" {
			t.Errorf("net/http complains: %s", s)
		}
	})
	return w
}

// wire makes the services and the configuration.
func (w *world) wire() {
	t := w.t
	quiet := slog.New(slog.DiscardHandler)
	cat, err := catalog.Open(w.ctx, filepath.Join(t.TempDir(), "catalog.db"), catalog.Options{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cat.Close(); err != nil {
			t.Error(err)
		}
	})
	w.catalog = cat
	w.rules = filepath.Join(t.TempDir(), "policy.yaml")
	w.writePolicy("30d", "14d")
	policies, err := policy.NewStore(w.ctx, w.rules)
	if err != nil {
		t.Fatal(err)
	}
	if err := policies.Keep(w.ctx, policy.Keeping{Custody: w.custody, History: w.custody, Marks: cat, Clock: w.clock.Now}); err != nil {
		t.Fatal(err)
	}
	ledger := quarantine.NewLedger(quarantine.LedgerConfig{
		Disks: cat, Images: w.ceph, Custody: w.custody, History: w.custody, Clock: w.clock.Now, Log: quiet, Observer: blind{}, Standing: cat,
	})
	w.adopter = quarantine.NewAdopter(ledger, w.ceph, cat, policies, w.ceph)
	w.record = quarantine.NewRecorder(w.adopter)
	reconciler := quarantine.NewReconciler(w.adopter, w.ceph, quarantine.ReconcileConfig{Workers: 2, LostAfter: time.Hour})
	keeper := quarantine.NewGuardKeeper(ledger, w.ceph, w.ceph, cat)
	restorer := quarantine.NewRestorer(ledger, w.ceph, w.ceph, w.ceph)
	collector := quarantine.NewCollector(ledger, w.ceph, w.ceph.Remover(), w.ceph, policies, cat, quarantine.DefaultSafety())
	holds := quarantine.NewHolds(ledger, w.ceph, w.ceph)
	standing := quarantine.NewStandingHolds(w.adopter, cat, time.Minute)
	cases := quarantine.NewCases(holds, cat, standing)
	w.applier = quarantine.NewPolicyApplier(w.adopter, policies, cat, 2)
	w.approvals = quarantine.NewApprovals(ledger, cat, map[string]quarantine.RequestAct{
		quarantine.RequestPurgeEarly: collector.EarlyPurge(), quarantine.RequestShorten: holds.Shorten(), quarantine.RequestApplyPolicy: w.applier.Shorten(),
	}, quarantine.ApprovalsConfig{Expire: 3 * day})
	w.cloud = fakecloud.New("vac", w.ceph, vms, one)
	sum := func(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }
	w.cfg = api.Config{
		Clock: w.clock.Now, Log: slog.New(slog.NewJSONHandler(w.log, nil)), MaxBody: maxBody,
		Tokens: []api.Token{
			{Name: "vera", Role: api.RoleViewer, SHA256: sum(viewer)},
			{Name: "otto", Role: api.RoleOperator, SHA256: sum(operator)},
			{Name: "ada", Role: api.RoleAdmin, SHA256: sum(admin)},
			{Name: "vac-hook", Role: api.RoleHook, Cloud: "vac", SHA256: sum(hook)},
		},
		Hooks: map[string]api.Hook{
			"generic":    {CloudType: quarantine.CloudGeneric, Decode: generic.Decode},
			"openstack":  {CloudType: quarantine.CloudOpenStack, Decode: noDeletions},
			"opennebula": {CloudType: quarantine.CloudOpenNebula, Decode: noDeletions},
		},
		// Its driver says the name of the disk.
		Drivers:     map[string]api.Driver{"vac": {CloudType: quarantine.CloudGeneric, Actions: []string{"remove"}, Dying: dying, GoesOn: func(_ string, body []byte) bool { return string(body) == "with its directory" }}},
		Interceptor: quarantine.NewInterceptor(w.record, w.ceph),
		Clouds:      map[string]string{"vac": "generic", "nebula": "opennebula", "nebula-2": "opennebula"},
		Clusters:    w.ceph,
		Disks:       cat, Custody: w.custody, Recorder: w.record, Holds: cases,
		Restorer: restorer, Clouder: quarantine.NewCloudRestorer(quarantine.CloudRestorerConfig{
			Restorer: restorer, Clouds: []quarantine.CloudWriter{w.cloud}, Deletions: cat, Snapshots: w.ceph, Reader: w.ceph, Discarder: collector, Marks: cat,
		}), Exporter: quarantine.NewExporter(ledger, w.ceph),
		Isolator: quarantine.NewIsolator(w.adopter, quarantine.NewHolds(ledger, w.ceph, w.ceph), w.ceph, w.ceph, w.ceph, quarantine.IsolateConfig{}),
		Cases:    cases, CaseViews: cases, Standing: standing, Approvals: w.approvals, Requests: cat, Pauser: collector,
		Guards: guards{keeper, w.ceph}, Jobs: w.jobs, Doctor: doctor{},
		Checker: quarantine.NewChecker(ledger, cat, w.ceph, w.ceph, w.ceph, w.ceph, quarantine.CheckConfig{Workers: 2}),
		Policy:  explainer{policies, w.ceph}, Locks: policies, Sightings: cat, Coverage: covered{}, Simulator: quarantine.NewSimulator(cat, w.ceph, w.clock.Now), Applier: w.applier,
		Capacity: quarantine.NewCapacity(w.ceph, cat, w.ceph, quarantine.CapacityConfig{}),
		Parents:  quarantine.NewFlattener(ledger, w.ceph, w.ceph, cat, policies, w.ceph, nil, quarantine.FlattenConfig{}),
		Rebuild: func(ctx context.Context, actor string) (quarantine.Report, error) {
			return reconciler.Rebuild(ctx, actor, cat)
		},
		Status: func(context.Context) (wire.Status, error) {
			return wire.Status{Version: "test", Now: w.clock.Now()}, nil
		},
		Ready:     func(context.Context) []string { return w.reasons },
		Metrics:   http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "up 1\n") }),
		Requested: w.requests.add,
	}
}

// dying is what the driver of VM 9 is about to do: remove the disk that the body
// names.
func dying(_ context.Context, cloud, _ string, body []byte) (quarantine.Deletion, []quarantine.DiskRef, error) {
	refs := []quarantine.DiskRef{{Name: string(body)}}
	switch string(body) {
	case "migration":
		return quarantine.Deletion{}, nil, nil
	case "stranger":
		return quarantine.Deletion{}, nil, fmt.Errorf("VM 10: %w", quarantine.ErrNotFound)
	case "silence":
		return quarantine.Deletion{}, nil, fmt.Errorf("ask the cloud: %w", quarantine.ErrUnavailable)
	}
	return quarantine.Deletion{
		ID: quarantine.DeletionID(cloud, quarantine.KindDelete, "9", ""), Cloud: cloud, CloudType: quarantine.CloudGeneric, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: "9", Disks: refs,
	}, refs, nil
}

func noDeletions(string, []byte) ([]quarantine.Deletion, error) { return nil, nil }

// dead makes an image of that content, lets the cloud remove it, and adopts
// it.
func (w *world) dead(pool quarantine.PoolRef, name string, content ...[]byte) quarantine.Disk {
	w.t.Helper()
	key, err := w.ceph.CloudCreate(pool, name, 5*fakeceph.BlockSize)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, c := range content {
		if err := w.ceph.CloudWrite(key, int64(i)*2*fakeceph.BlockSize, c); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.ceph.CloudRemove(pool, name); err != nil {
		w.t.Fatal(err)
	}
	entries, err := quarantine.ListTrash(w.ctx, w.ceph, pool)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Key == key {
			d, err := w.adopter.Adopt(w.ctx, e, quarantine.CaptureGuard)
			if err != nil {
				w.t.Fatal(err)
			}
			return d
		}
	}
	w.t.Fatalf("%s is not in the trash", name)
	return quarantine.Disk{}
}

// reported records a deletion that explains the image of that name.
func (w *world) reported(name, image string, more func(d *quarantine.Deletion)) {
	w.t.Helper()
	d := quarantine.Deletion{
		ID: quarantine.DeletionID("vac", quarantine.KindDelete, "vm-"+name, ""), Cloud: "vac", CloudType: "generic", Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: "vm-" + name, ResourceName: name,
		Project: quarantine.Principal{ID: "p1", Name: "physics"}, User: quarantine.Principal{ID: "u1", Name: "alice"},
		Addresses: []quarantine.Address{{IP: "192.0.2.7", MAC: "fa:16:3e:00:00:01"}},
		StartedAt: w.clock.Now(), EndedAt: w.clock.Now(),
		Disks: []quarantine.DiskRef{{Name: image, Role: "root"}},
	}
	if more != nil {
		more(&d)
	}
	if err := w.record.Record(w.ctx, []quarantine.Deletion{d}); err != nil {
		w.t.Fatal(err)
	}
}

// disk reads a disk from the catalog.
func (w *world) disk(id string) quarantine.Disk {
	w.t.Helper()
	d, err := w.catalog.Disk(w.ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// state is everything that a request could change, as text: all rows, all
// trash entries, the guards, and what was done according to the custody log
// (refusals are no change).
func (w *world) state() string {
	w.t.Helper()
	var all []any
	disks, err := w.catalog.FindDisks(w.ctx, quarantine.DiskFilter{})
	if err != nil {
		w.t.Fatal(err)
	}
	deletions, err := w.catalog.OpenDeletions(w.ctx, w.clock.Now().Add(1000*day), 1000, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	all = append(all, disks, deletions, w.custody.done(), w.jobs.all())
	for _, p := range w.ceph.Pools() {
		entries, err := quarantine.ListTrash(w.ctx, w.ceph, p.PoolRef)
		if err != nil {
			w.t.Fatal(err)
		}
		guard, err := w.ceph.ReadGuard(w.ctx, p.PoolRef)
		if err != nil {
			w.t.Fatal(err)
		}
		live, err := w.ceph.LiveImages(w.ctx, p.PoolRef, "")
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, entries, guard, live)
	}
	b, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send makes a request and reads the whole answer.
func (w *world) send(secret, method, path, body string, headers ...string) answer {
	w.t.Helper()
	resp := w.open(w.ctx, secret, method, path, strings.NewReader(body), headers...)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, b}
}

// open makes a request. headers are names and values.
func (w *world) open(ctx context.Context, secret, method, path string, body io.Reader, headers ...string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, w.http.URL+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// read decodes a good answer.
func read[T any](w *world, a answer) T {
	w.t.Helper()
	var v T
	if a.status != http.StatusOK {
		w.t.Fatalf("status %d: %s", a.status, a.body)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/json" {
		w.t.Errorf("Content-Type %q", ct)
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		w.t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// refused checks that the answer is a problem of that status and code, and
// that the log has exactly one line about it, which names the actor and no
// secret. It returns the detail.
func (w *world) refused(a answer, status int, code, actor string) string {
	w.t.Helper()
	var p wire.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		w.t.Fatalf("status %d: %v in %q", a.status, err, a.body)
	}
	if a.status != status || p.Status != status || p.Code != code || p.Title != http.StatusText(status) || p.Detail == "" {
		w.t.Errorf("status %d, problem %+v; want %d %s", a.status, p, status, code)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		w.t.Errorf("Content-Type %q", ct)
	}
	w.logged(status, actor, p.Detail)
	return p.Detail
}

// logged checks that the log has exactly one new line, with these.
func (w *world) logged(status int, actor, detail string) {
	w.t.Helper()
	text := w.log.take()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var line struct {
		Level, Method, Path, Actor, Error string
		Status                            int
	}
	if len(lines) != 1 || json.Unmarshal([]byte(lines[0]), &line) != nil {
		w.t.Fatalf("%d log lines, want 1: %s", len(lines), text)
	}
	level := "WARN"
	if status >= 500 {
		level = "ERROR"
	}
	if line.Status != status || line.Actor != actor || line.Level != level || line.Method == "" || line.Path == "" || !strings.Contains(line.Error, detail) {
		w.t.Errorf("log line %s; want status %d, actor %q, level %s, error %q", text, status, actor, level, detail)
	}
	if strings.Contains(text, "secret-of") {
		w.t.Errorf("the log tells a token: %s", text)
	}
}

// silent checks that the log has no new line.
func (w *world) silent() {
	w.t.Helper()
	if s := w.log.take(); s != "" {
		w.t.Errorf("logged: %s", s)
	}
}

// clock only moves when a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// syncBuffer is where logs go.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// take returns what was written since the last call.
func (s *syncBuffer) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.b.Reset()
	return s.b.String()
}

// requests is what Requested was told.
type requests struct {
	mu   sync.Mutex
	some *sync.Cond // some were seen
	seen []request
}

func newRequests() *requests {
	r := &requests{}
	r.some = sync.NewCond(&r.mu)
	return r
}

type request struct {
	route  string
	status int
	took   time.Duration
}

func (r *requests) add(route string, status int, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, request{route, status, took})
	r.some.Broadcast()
}

// take returns what was counted since the last call, at least one: a client can
// have its answer before the server has counted it.
func (r *requests) take() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.seen) == 0 {
		r.some.Wait()
	}
	s := r.seen
	r.seen = nil
	return s
}
