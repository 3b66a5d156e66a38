package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/api"
	"quarantine/internal/api/wire"
	"quarantine/internal/catalog"
	"quarantine/internal/quarantine"
)

// Each filter of a list selects what its name says, alone and together with
// others; the page tells how many there are in all.
func TestList(t *testing.T) {
	t.Parallel()
	w := start(t)
	root := w.dead(vms, "root")
	w.reported("web", "root", nil)
	w.clock.add(time.Hour)
	w.dead(nsed, "root.eph0")
	w.dead(one, "one-5")
	w.clock.add(day)
	held := w.dead(twin, "one-6")
	w.dead(vms, "rootless")
	if a := w.send(operator, "POST", "/v1/disks/"+held.ID+"/hold", `{"case_id":"C-7","reason":"r"}`); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for query, want := range map[string]string{
		"":                                       "root root.eph0 one-5 one-6 rootless",
		"state=quarantined":                      "root root.eph0 one-5 one-6 rootless",
		"state=lost,purged":                      "",
		"state=lost&state=quarantined&pool=vms":  "root rootless",
		"state=lost,quarantined&pool=vms":        "root rootless",
		"pool=vms":                               "root rootless",
		"pool=vms/blue":                          "root.eph0",
		"pool=alpha:one":                         "one-5",
		"pool=beta:one":                          "one-6",
		"cloud=vac":                              "root",
		"project=physics":                        "root",
		"project=p1":                             "root",
		"user=alice":                             "root",
		"vm=web":                                 "root",
		"vm=vm-web":                              "root",
		"address=192.0.2.7":                      "root",
		"address=FA-16-3E-00-00-01":              "root",
		"case=C-7":                               "one-6",
		"name=root":                              "root",
		"name_prefix=root":                       "root root.eph0",
		"held=true":                              "one-6",
		"held=false":                             "root root.eph0 one-5 rootless",
		"unexplained=true":                       "root.eph0 one-5 one-6 rootless",
		"from=2026-11-21":                        "one-6 rootless",
		"to=2026-11-21":                          "root root.eph0 one-5",
		"from=2026-11-20&to=2026-11-21":          "root root.eph0 one-5",
		"from=2026-11-20T13:00:00Z":              "root.eph0 one-5 one-6 rootless",
		"to=2026-11-20T13:00:00Z":                "root",
		"to=2026-11-20T14:00:01%2B01:00":         "root root.eph0 one-5",
		"sort=original_name":                     "one-5 one-6 root root.eph0 rootless",
		"sort=original_name&desc=true":           "rootless root.eph0 root one-6 one-5",
		"sort=original_name&limit=2":             "one-5 one-6",
		"sort=original_name&limit=2&offset=3":    "root.eph0 rootless",
		"vm=web&address=192.0.2.8":               "",
		"name=" + url.QueryEscape("' OR 1=1 --"): "",
	} {
		page := read[wire.DiskPage](w, w.send(viewer, "GET", "/v1/disks?"+query, ""))
		var names []string
		for _, d := range page.Disks {
			names = append(names, d.OriginalName)
		}
		wanted := strings.Fields(want)
		if !strings.Contains(query, "sort=") { // those of one moment are sorted by id
			slices.Sort(names)
			slices.Sort(wanted)
		}
		if !slices.Equal(names, wanted) {
			t.Errorf("?%s: %q, want %q", query, names, wanted)
		}
		if page.Disks == nil {
			t.Errorf("?%s: the list is null", query)
		}
		paged := strings.Contains(query, "limit=")
		if want := int64(len(wanted)); !paged && (page.Total != want || page.Limit != 100) || paged && (page.Total != 5 || page.Limit != 2) {
			t.Errorf("?%s: total %d, limit %d", query, page.Total, page.Limit)
		}
	}
	w.silent()
	if got := wire.FromDisk(w.disk(root.ID)); got.Project != "physics" {
		t.Errorf("project %q", got.Project)
	}
}

// A wrong query is refused, with the name of the parameter, rather than taken
// for another: one that is not known is not ignored.
func TestListRefuses(t *testing.T) {
	t.Parallel()
	w := start(t)
	for query, part := range map[string]string{
		"state=dead":                    "query.state",
		"state=quarantined,":            "query.state",
		"adress=192.0.2.7":              "query.adress",
		"from=yesterday":                "query.from",
		"to=17.11.2026":                 "query.to",
		"from=2026-11-21&to=2026-11-20": "query.to",
		"from=2026-11-21&to=2026-11-21": "query.to",
		"sort=colour":                   "query.sort",
		"held=perhaps":                  "query.held",
		"desc=maybe":                    "query.desc",
		"limit=0":                       "query.limit",
		"limit=1001":                    "query.limit",
		"limit=ten":                     "query.limit",
		"offset=-1":                     "query.offset",
		"pool=one":                      "several clusters",
	} {
		if detail := w.refused(w.send(viewer, "GET", "/v1/disks?"+query, ""), http.StatusBadRequest, wire.CodeInvalid, "vera"); !strings.Contains(detail, part) {
			t.Errorf("?%s: %q does not name %s", query, detail, part)
		}
	}
	w.refused(w.send(viewer, "GET", "/v1/disks?pool=nowhere", ""), http.StatusNotFound, wire.CodeNotFound, "vera")
}

// A disk is found by its id or by a beginning that is its alone; several are
// listed, none is not found.
func TestFind(t *testing.T) {
	t.Parallel()
	w := start(t)
	// Disks until the ids of two begin with the same 4 digits would take long;
	// the catalog takes ids as they are.
	for _, id := range []string{"abcd000000000001", "abcd000000000002", "abce000000000000"} {
		if _, err := w.catalog.PutDisk(w.ctx, quarantine.Disk{
			ID: id, Key: vms.Key(id), OriginalName: "n" + id, State: quarantine.Quarantined, DeletedAt: w.clock.Now(), QuarantinedAt: w.clock.Now(), RetainUntil: w.clock.Now(),
		}); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]string{
		"abce000000000000": "abce000000000000", "abce": "abce000000000000", "ABCE00": "abce000000000000", "abcd000000000002": "abcd000000000002",
	} {
		if d := read[wire.DiskDetail](w, w.send(viewer, "GET", "/v1/disks/"+id, "")); d.ID != want {
			t.Errorf("%s is %s, want %s", id, d.ID, want)
		}
	}
	detail := w.refused(w.send(viewer, "GET", "/v1/disks/abcd", ""), http.StatusBadRequest, wire.CodeInvalid, "vera")
	for _, part := range []string{"abcd000000000001 (nabcd000000000001, quarantined)", "abcd000000000002"} {
		if !strings.Contains(detail, part) {
			t.Errorf("%q does not name %s", detail, part)
		}
	}
	w.refused(w.send(viewer, "GET", "/v1/disks/abc", ""), http.StatusBadRequest, wire.CodeInvalid, "vera")
	for _, id := range []string{"0000", "abcd000000000003", "abce0000000000001", "server-1", "%00", "abc%2Fe", "' OR 1=1"} {
		w.refused(w.send(viewer, "GET", "/v1/disks/"+url.PathEscape(id), ""), http.StatusNotFound, wire.CodeNotFound, "vera")
	}
}

// Of many disks whose ids begin alike a few are named.
func TestFindAmongMany(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 30 {
		id := fmt.Sprintf("abcd%012x", i)
		if _, err := w.catalog.PutDisk(w.ctx, quarantine.Disk{ID: id, Key: vms.Key(id), State: quarantine.Quarantined}); err != nil {
			t.Fatal(err)
		}
	}
	detail := w.refused(w.send(viewer, "GET", "/v1/disks/abcd", ""), http.StatusBadRequest, wire.CodeInvalid, "vera")
	if n := strings.Count(detail, "quarantined"); n != 10 || !strings.HasSuffix(detail, "…") {
		t.Errorf("%d are named: %s", n, detail)
	}
}

// The detail has the custody entries; a chain that does not hold is told, and
// the disk is shown all the same.
func TestDetail(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	w.reported("web", "root", nil)
	got := read[wire.DiskDetail](w, w.send(viewer, "GET", "/v1/disks/"+d.ID, ""))
	if got.ResourceName != "web" || got.CustodyFault != "" || len(got.Custody) == 0 || got.Custody[0].Act != "adopt" {
		t.Errorf("%+v", got)
	}
	w.custody.fault = errors.New("line 3 was changed")
	got = read[wire.DiskDetail](w, w.send(viewer, "GET", "/v1/disks/"+d.ID, ""))
	if got.CustodyFault != "line 3 was changed" || len(got.Custody) == 0 || got.ID != d.ID {
		t.Errorf("%+v", got)
	}
	w.silent()
}

// The explanation has the decision on the disk, the one that would be made
// now, and what each rule said.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	w.reported("web", "root", nil)
	got := read[wire.Explanation](w, w.send(viewer, "GET", "/v1/disks/"+d.ID+"/explain", ""))
	if got.Disk.ID != d.ID || got.Recorded.Rule != "web" || got.Now.Rule != "web" || got.Now.Retain != 30*day || len(got.Trace) != 2 || got.Trace[0].Outcome != "matched" {
		t.Errorf("%+v", got)
	}
}

// A catalog that cannot be read is status 503 with the time to wait, on every
// route that reads it; nothing is shown as if there were no disks.
func TestCatalogUnavailable(t *testing.T) {
	t.Parallel()
	w := start(t, func(w *world) {
		w.cfg.Disks = noDisks{fmt.Errorf("catalog: %w: disk full", quarantine.ErrUnavailable)}
	})
	for _, path := range []string{"/v1/disks", "/v1/disks/abcd", "/v1/disks/abcd/explain"} {
		a := w.send(viewer, "GET", path, "")
		w.refused(a, http.StatusServiceUnavailable, wire.CodeUnavailable, "vera")
		if a.header.Get("Retry-After") != "10" {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
	}
}

var _ api.Disks = (*catalog.Catalog)(nil)
