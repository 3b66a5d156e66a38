package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// The tokens of the daemon: the second may do what only an admin may.
const (
	operatorToken = "operator-secret"
	adminToken    = "admin-secret"
)

// daemon answers as quarantined does, with disks that stay as they are
// (disks_test.go), and remembers what it was asked.
type daemon struct {
	server *httptest.Server

	mu      sync.Mutex
	news    *sync.Cond // a request came
	asked   []string
	answers map[string]canned

	restores restores
}

// canned replaces an answer.
type canned struct {
	status      int
	media, body string
}

func newDaemon() *daemon {
	d := &daemon{answers: map[string]canned{}}
	d.news = sync.NewCond(&d.mu)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/disks", d.list)
	mux.HandleFunc("GET /v1/disks/{id}", func(w http.ResponseWriter, r *http.Request) { reply(w)(diskOf(r.PathValue("id"))) })
	mux.HandleFunc("GET /v1/disks/{id}/explain", explainDisk)
	mux.HandleFunc("POST /v1/disks/{id}/{act}", d.act)
	d.cases(mux)
	mux.HandleFunc("GET /v1/requests", func(w http.ResponseWriter, _ *http.Request) { reply(w)([]quarantine.Request{openRequest()}, nil) })
	mux.HandleFunc("GET /v1/requests/{id}", d.request)
	mux.HandleFunc("POST /v1/requests/{id}/{act}", d.request)
	mux.HandleFunc("POST /v1/restore", d.restores.vm)
	mux.HandleFunc("POST /v1/restores/{restore}/cancel", d.restores.cancel)
	mux.HandleFunc("GET /v1/guard", showGuard)
	mux.HandleFunc("PUT /v1/guard", setGuard)
	mux.HandleFunc("POST /v1/jobs/{job}", runJob)
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w)(status(), nil) })
	mux.HandleFunc("GET /v1/doctor", func(w http.ResponseWriter, _ *http.Request) { reply(w)(doctorFindings(), nil) })
	mux.HandleFunc("GET /v1/doctor/deep", check)
	mux.HandleFunc("GET /v1/parents", func(w http.ResponseWriter, _ *http.Request) { reply(w)(parentImages(), nil) })
	mux.HandleFunc("GET /v1/capacity", func(w http.ResponseWriter, _ *http.Request) { reply(w)(poolStates(), nil) })
	mux.HandleFunc("GET /v1/coverage", func(w http.ResponseWriter, r *http.Request) { reply(w)(coverageOf(r.URL.Query().Get("cloud"))) })
	mux.HandleFunc("POST /v1/policy/simulate", simulate)
	mux.HandleFunc("GET /v1/policy/locks", func(w http.ResponseWriter, _ *http.Request) { reply(w)(policyLocks(), nil) })
	mux.HandleFunc("POST /v1/policy/apply", applyPolicy)
	mux.HandleFunc("POST /v1/policy/{act}", lockRule)
	mux.HandleFunc("POST /v1/policy/explain", explainFactsOf)
	mux.HandleFunc("GET /v1/policy/explain", func(w http.ResponseWriter, r *http.Request) { reply(w)(alive(r.URL.Query().Get("resource"))) })
	mux.HandleFunc("POST /v1/collect/pause", pauseCollect)
	mux.HandleFunc("POST /v1/collect/resume", resumeCollect)
	mux.HandleFunc("POST /v1/catalog/rebuild", func(w http.ResponseWriter, _ *http.Request) { reply(w)(rebuilt(), nil) })
	mux.HandleFunc("POST /v1/custody/verify", func(w http.ResponseWriter, _ *http.Request) { reply(w)(map[string]bool{"ok": true}, nil) })
	mux.HandleFunc("POST /v1/hooks/{source}", hook)
	d.server = httptest.NewServer(d.recorded(mux))
	return d
}

func (d *daemon) url() string { return d.server.URL }

func (d *daemon) close() { d.server.Close() }

func (d *daemon) set(route string, c canned) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[route] = c
}

// take returns the requests so far, one a line, and forgets them.
func (d *daemon) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	return asked
}

// await returns when such a request came.
func (d *daemon) await(request string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, d.news.Broadcast)()
	d.mu.Lock()
	defer d.mu.Unlock()
	for !slices.ContainsFunc(d.asked, func(r string) bool { return strings.HasPrefix(r, request) }) {
		if ctx.Err() != nil {
			return fmt.Errorf("not asked: %s", request)
		}
		d.news.Wait()
	}
	return nil
}

// recorded asks for a token, remembers the request, and gives the canned
// answer if there is one.
func (d *daemon) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			refuse(w, wire.NewProblem(http.StatusBadRequest, wire.CodeInvalid, err.Error()))
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		d.mu.Lock()
		d.asked = append(d.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		answer, ok := d.answers[r.Method+" "+r.URL.Path]
		d.news.Broadcast()
		d.mu.Unlock()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case token == "":
			refuse(w, wire.NewProblem(http.StatusUnauthorized, wire.CodeUnauthorized, "a token is needed: Authorization: Bearer TOKEN"))
		case token != operatorToken && token != adminToken:
			refuse(w, wire.NewProblem(http.StatusUnauthorized, wire.CodeUnauthorized, "the token is not known here"))
		case token != adminToken && needsAdmin(r):
			refuse(w, wire.NewProblem(http.StatusForbidden, wire.CodeForbidden, r.URL.Path+" needs the role admin; the token ops has the role operator"))
		case ok:
			w.Header().Set("Content-Type", answer.media)
			w.WriteHeader(answer.status)
			_, _ = io.WriteString(w, answer.body)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func needsAdmin(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/guard") || strings.HasSuffix(r.URL.Path, "/approve") || strings.HasSuffix(r.URL.Path, "/deny") || strings.HasSuffix(r.URL.Path, "/close") ||
		strings.HasSuffix(r.URL.Path, "/release") || strings.HasSuffix(r.URL.Path, "/rebuild") || strings.HasSuffix(r.URL.Path, "/resume")
}

// reply writes what a look or an act gave.
func reply(w http.ResponseWriter) func(v any, err error) {
	return func(v any, err error) {
		if err != nil {
			refuse(w, wire.ProblemOf(err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
}

func refuse(w http.ResponseWriter, p *wire.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// diskOf finds a disk by the beginning of its id.
func diskOf(id string) (any, error) {
	d, err := find(id)
	return d, err
}

func find(id string) (wire.DiskDetail, error) {
	var found []wire.DiskDetail
	for _, d := range disks() {
		if strings.HasPrefix(d.ID, id) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return wire.DiskDetail{}, fmt.Errorf("disk %s: %w", id, quarantine.ErrNotFound)
	case 1:
		return found[0], nil
	}
	return wire.DiskDetail{}, fmt.Errorf("%w: several disks' ids begin with %s: %s, %s", quarantine.ErrInvalid, id, found[0].ID, found[1].ID)
}

// list knows the filters state, name_prefix and held, and sorting by size. A
// page of the greatest size has two disks, so that there are several pages.
func (d *daemon) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var all []wire.Disk
	for _, disk := range disks() {
		if s := q.Get("state"); s != "" && !slices.Contains(strings.Split(s, ","), disk.State) ||
			!strings.HasPrefix(disk.OriginalName, q.Get("name_prefix")) ||
			q.Get("held") != "" && q.Get("held") != strconv.FormatBool(disk.Held) {
			continue
		}
		all = append(all, disk.Disk)
	}
	if q.Get("sort") == "size_bytes" {
		slices.SortStableFunc(all, func(a, b wire.Disk) int { return cmp.Compare(a.SizeBytes, b.SizeBytes) })
	}
	limit, offset := 100, 0
	for name, v := range map[string]*int{"limit": &limit, "offset": &offset} {
		if s := q.Get(name); s != "" {
			n, err := strconv.Atoi(s)
			if err != nil {
				reply(w)(nil, fmt.Errorf("%w: query.%s", quarantine.ErrInvalid, name))
				return
			}
			*v = n
		}
	}
	page := wire.DiskPage{Disks: []wire.Disk{}, Total: int64(len(all)), Limit: limit, Offset: offset}
	if limit == client.MaxPage {
		limit = 2
	}
	if offset < len(all) {
		page.Disks = append(page.Disks, all[offset:min(offset+limit, len(all))]...)
	}
	reply(w)(page, nil)
}

func decode(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return errors.Join(quarantine.ErrInvalid, err)
	}
	return nil
}
