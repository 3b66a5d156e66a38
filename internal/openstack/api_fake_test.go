package openstack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// The credential of the tests; the password must not be in any error.
const testPassword = "hunter2-secret"

// fakeCloud answers as the OpenStack Zed did from which testdata/api/zed.json
// was recorded, over real HTTP.
type fakeCloud struct {
	*httptest.Server
	recorded map[string]recordedAnswer // by method, path and query

	serial  sync.Mutex // held by the special handlers, which share the tests' variables
	mu      sync.Mutex
	special map[string]http.HandlerFunc // by method and path, in place of what was recorded
	seen    []string                    // the requests, with their queries
	agents  map[string]bool
	logins  []string // bodies
	token   string
}

type recordedAnswer struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

func newFakeCloud(t testing.TB) *fakeCloud {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "api", "zed.json"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeCloud{special: map[string]http.HandlerFunc{}, agents: map[string]bool{}}
	if err := json.Unmarshal(data, &f.recorded); err != nil {
		t.Fatal(err)
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// ServeHTTP implements http.Handler.
func (f *fakeCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := r.Method + " " + r.URL.EscapedPath()
	f.mu.Lock()
	special := f.special[request]
	if r.URL.RawQuery != "" {
		f.seen = append(f.seen, request+"?"+r.URL.RawQuery)
	} else {
		f.seen = append(f.seen, request)
	}
	f.agents[r.UserAgent()] = true
	authorized := r.Header.Get("X-Auth-Token") == f.token && f.token != ""
	f.mu.Unlock()
	switch {
	case request == "POST /identity/v3/auth/tokens" && special == nil:
		f.logIn(w, r)
	case special != nil && (authorized || strings.HasSuffix(request, "/auth/tokens")):
		f.serial.Lock()
		defer f.serial.Unlock()
		special(w, r)
	case !authorized:
		reply(http.StatusUnauthorized, `{"error": {"message": "The request you have made requires authentication."}}`)(w, r)
	default:
		if r.URL.RawQuery != "" {
			request += "?" + r.URL.RawQuery
		}
		a, ok := f.recorded[request]
		if !ok {
			a = recordedAnswer{http.StatusTeapot, json.RawMessage(`{"error": {"message": "not recorded"}}`)}
		}
		reply(a.Status, string(a.Body))(w, r)
	}
}

// logIn gives a new token; the older ones are void.
func (f *fakeCloud) logIn(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	f.logins = append(f.logins, string(body))
	f.token = fmt.Sprintf("token-%d", len(f.logins))
	w.Header().Set("X-Subject-Token", f.token)
	f.mu.Unlock()
	a := f.recorded["POST /identity/v3/auth/tokens"]
	reply(a.Status, strings.ReplaceAll(string(a.Body), "{{base}}", f.URL))(w, r)
}

// on answers a request, whatever its query, otherwise than recorded.
func (f *fakeCloud) on(request string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.special[request] = h
}

// requests returns what was asked for so far that begins so.
func (f *fakeCloud) requests(prefix string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []string
	for _, r := range f.seen {
		if strings.HasPrefix(r, prefix) {
			found = append(found, r)
		}
	}
	return found
}

// settle waits for the special handlers that still run, so that what they
// wrote can be read.
func (f *fakeCloud) settle() {
	f.serial.Lock()
	defer f.serial.Unlock()
}

// expire voids the token.
func (f *fakeCloud) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = "none"
}

func (f *fakeCloud) loginCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.logins)
}

// reply is a handler that always says the same.
func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// inTurn is a handler that answers with one after the other, and then with the
// last again.
func inTurn(hs ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := hs[min(n, len(hs)-1)]
		n++
		mu.Unlock()
		h(w, r)
	}
}

// config is an APIConfig for a cloud at that address, with a clouds.yaml.
func config(t testing.TB, address string) APIConfig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	text := fmt.Sprintf(`clouds:
  lab:
    auth: {auth_url: %q, username: admin, user_domain_name: Default, project_name: admin, project_domain_name: Default, password: %s}
    region_name: RegionOne
`, address+"/identity/v3", testPassword)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	return APIConfig{
		Cloud: cloudName, CloudsFile: file, Entry: "lab", PageSize: 2, Version: "test",
		RetryPause: time.Millisecond, Poll: time.Millisecond, Timeout: 10 * time.Second,
		Clock: func() time.Time { return at },
	}
}

// newTestAPI is an API of the fake cloud.
func newTestAPI(t testing.TB, f *fakeCloud, change ...func(*APIConfig)) *API {
	t.Helper()
	cfg := config(t, f.URL)
	for _, c := range change {
		c(&cfg)
	}
	a, err := NewAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// recordedIDs are the resources of the recording, by what they are.
func recordedIDs(t testing.TB) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "api", "ids.json"))
	if err != nil {
		t.Fatal(err)
	}
	var ids map[string]string
	if err := json.Unmarshal(data, &ids); err != nil {
		t.Fatal(err)
	}
	return ids
}

// living lists all that lives.
func living(t testing.TB, a *API) map[string]quarantine.Deletion {
	t.Helper()
	found := map[string]quarantine.Deletion{}
	err := a.Living(t.Context(), func(d quarantine.Deletion) error {
		if _, ok := found[d.ResourceID]; ok {
			t.Errorf("%s %s was listed twice", d.ResourceKind, d.ResourceID)
		}
		if err := d.Validate(); err != nil {
			t.Error(err)
		}
		if slices.ContainsFunc(d.Disks, func(r quarantine.DiskRef) bool { return r.Required }) {
			t.Errorf("%s %s: a disk is required", d.ResourceKind, d.ResourceID)
		}
		found[d.ResourceID] = d
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
