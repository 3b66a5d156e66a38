package catalog

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

func openInternal(t *testing.T, o Options) *Catalog {
	t.Helper()
	c, err := Open(context.Background(), filepath.Join(t.TempDir(), "catalog.db"), o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// plan is how SQLite would go about the query: one line a step.
func plan(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("explain %s: %v", query, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatalf("explain: %v", err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("explain: %v", err)
	}
	return strings.Join(steps, "\n")
}

const sorting = "USE TEMP B-TREE FOR ORDER BY"

// What people and the service ask for is found by the index made for it: the
// whole table is never read, and a page of a list that may be long is read in
// its order, not sorted out of all of it.
func TestPlans(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{})
	yes, no, now := true, false, time.Now()
	quarantined := []quarantine.State{quarantine.Quarantined}
	living := []quarantine.State{quarantine.Pending, quarantine.Quarantined, quarantine.Expiring, quarantine.Purging, quarantine.Restoring, quarantine.Lost}
	pool := &quarantine.PoolRef{FSID: "f", Pool: "vms"}
	term := "SEARCH disk_terms USING PRIMARY KEY (kind=? AND value=?"
	for name, q := range map[string]struct {
		filter quarantine.DiskFilter
		uses   string
		sorts  bool // what is found is little, and is sorted
	}{
		"all":                  {quarantine.DiskFilter{}, "INDEX disks_by_death", false},
		"all, newest first":    {quarantine.DiskFilter{Desc: true}, "INDEX disks_by_death", false},
		"state":                {quarantine.DiskFilter{States: quarantined}, "INDEX disks_by_state_death (state=?)", false},
		"states":               {quarantine.DiskFilter{States: living, Desc: true}, "INDEX disks_by_state_death (state=?)", false},
		"cloud":                {quarantine.DiskFilter{Cloud: "c"}, "INDEX disks_by_cloud (cloud=?)", false},
		"cloud and state":      {quarantine.DiskFilter{Cloud: "c", States: quarantined}, "INDEX disks_by_cloud_state (cloud=? AND state=?)", false},
		"cloud and states":     {quarantine.DiskFilter{Cloud: "c", States: living}, "INDEX disks_by_cloud_state (cloud=? AND state=?)", false},
		"pool":                 {quarantine.DiskFilter{Pool: pool}, "INDEX disks_by_pool_death (fsid=? AND pool=? AND namespace=?)", false},
		"pool and states":      {quarantine.DiskFilter{Pool: pool, States: living}, "INDEX disks_by_pool (fsid=? AND pool=? AND namespace=? AND state=?)", false},
		"held":                 {quarantine.DiskFilter{Held: &yes}, "INDEX disks_held", false},
		"unexplained":          {quarantine.DiskFilter{Unexplained: true}, "INDEX disks_unexplained", false},
		"deleted between":      {quarantine.DiskFilter{DeletedFrom: now, DeletedTo: now}, "INDEX disks_by_death (deleted_at>? AND deleted_at<?)", false},
		"due":                  {quarantine.DiskFilter{States: quarantined, RetainBefore: now, Held: &no, Sort: "retain_until"}, "INDEX disks_due (state=? AND retain_until>? AND retain_until<?)", false},
		"over":                 {quarantine.DiskFilter{States: []quarantine.State{quarantine.Expiring}, ExpiringBefore: now, Held: &no, Sort: "retain_until"}, "INDEX disks_by_expiry (state=? AND expiring_at>? AND expiring_at<?)", true},
		"by retention":         {quarantine.DiskFilter{RetainBefore: now, Sort: "retain_until"}, "INDEX disks_by_retention (retain_until>? AND retain_until<?)", false},
		"by retention, state":  {quarantine.DiskFilter{States: quarantined, Sort: "retain_until"}, "INDEX disks_due (state=?)", false},
		"restored and sealed":  {quarantine.DiskFilter{States: []quarantine.State{quarantine.Restored}, Sealed: &yes}, "INDEX disks_by_state_death (state=?)", false},
		"stale":                {quarantine.DiskFilter{RecordStale: true, States: living[1:3]}, "INDEX disks_stale (state=?)", true},
		"unmeasured":           {quarantine.DiskFilter{Unmeasured: true, States: quarantined}, "INDEX disks_unmeasured (state=?)", false},
		"unexplained by state": {quarantine.DiskFilter{Unexplained: true, States: living[:3]}, "INDEX disks_unexplained_by_state (state=?)", true},

		"last of a project": {quarantine.DiskFilter{Group: &quarantine.Group{Cloud: "c", ProjectID: "p"}, States: living[:3], DeletedFrom: now, Desc: true},
			"INDEX disks_by_project_id (cloud=? AND project_id=? AND state=? AND deleted_at>?)", false},
		"last of a name": {quarantine.DiskFilter{Group: &quarantine.Group{Cloud: "c", ProjectID: "p", Resource: "web"}, States: living[:3], DeletedFrom: now, Desc: true},
			"INDEX disks_by_vm_name (cloud=? AND project_id=? AND resource_name=? AND state=? AND deleted_at>?)", false},
		"seal":             {quarantine.DiskFilter{Seal: &quarantine.SealRef{FSID: "f", Pool: "vms", ID: 7}}, "INDEX disks_by_seal (seal_id=?)", true},
		"broken seals":     {quarantine.DiskFilter{SealBroken: true}, "INDEX disks_seal_broken", false},
		"seals not mended": {quarantine.DiskFilter{SealBroken: true, Sealed: &no, States: living[1:3]}, "INDEX disks_seal_broken", true},

		"project":           {quarantine.DiskFilter{Project: "p"}, term, false},
		"user":              {quarantine.DiskFilter{User: "u"}, term, false},
		"vm":                {quarantine.DiskFilter{VM: "v"}, term, false},
		"vm, newest first":  {quarantine.DiskFilter{VM: "v", Desc: true}, term, false},
		"address":           {quarantine.DiskFilter{Address: "192.0.2.7"}, term, false},
		"address at a time": {quarantine.DiskFilter{Address: "192.0.2.7", DeletedFrom: now}, term, false},
		"case":              {quarantine.DiskFilter{CaseID: "c"}, term, false},
		"vm, with states":   {quarantine.DiskFilter{VM: "v", States: living}, term, true},
		"vm, all of it":     {quarantine.DiskFilter{VM: "v", States: quarantined, Cloud: "c", Pool: pool, Held: &yes}, term, true},
		"name":              {quarantine.DiskFilter{OriginalNames: []string{"x"}}, "INDEX disks_by_name (original_name=?)", true},
		"name, with states": {quarantine.DiskFilter{OriginalNames: []string{"x"}, States: living}, "INDEX disks_by_name (original_name=?)", true},
		"name prefix":       {quarantine.DiskFilter{NamePrefix: "x", States: living}, "INDEX disks_by_name (original_name>? AND original_name<?)", true},
		"id prefix":         {quarantine.DiskFilter{IDPrefix: "ab", States: living}, "(id>? AND id<?)", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := q.filter
			if f.Limit = 100; name == "stale" || name == "unexplained by state" {
				f.Limit = 0 // as the reconciler asks
			}
			query, args, err := findQuery(f)
			if err != nil {
				t.Fatal(err)
			}
			got := plan(t, c.readDB, query, args...)
			if !strings.Contains(got, q.uses) || strings.Contains(got, sorting) && !q.sorts {
				t.Errorf("want %q; the plan is\n%s", q.uses, got)
			}
			for step := range strings.Lines(got) {
				if strings.HasPrefix(step, "SCAN disks") && !strings.Contains(step, "USING INDEX") {
					t.Errorf("the whole table is read:\n%s", got)
				}
			}
			if q.uses == term && strings.Contains(got, "disks_by_") {
				t.Errorf("it does not begin with the term:\n%s", got)
			}
		})
	}
}

// The other queries use their indexes too.
func TestOtherPlans(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{})
	of, args := deletionsOfQuery([]string{"u_disk.eph0", "u_disk", "u"})
	stubs, stubArgs := stubsQuery(quarantine.PoolRef{FSID: "f", Pool: "vms"}, []quarantine.State{quarantine.Pending, quarantine.Quarantined}, "x", 10)
	for name, q := range map[string]struct {
		query string
		args  []any
		uses  string
	}{
		"totals":         {totalsQuery, nil, "SCAN disks USING COVERING INDEX disks_by_pool"},
		"stubs":          {stubs, stubArgs, "SEARCH disks USING COVERING INDEX disks_by_image (fsid=? AND pool=? AND namespace=? AND image_id>?)"},
		"oldest pending": {oldestPendingQuery, []any{0, "pending"}, "(state=?)"},
		"deletions of":   {of, args, "SEARCH deletion_disks USING PRIMARY KEY (name=? AND is_prefix=?)"},
		"open deletions": {openDeletionsQuery, []any{0, 1, 0}, "SEARCH deletions USING INDEX deletions_open (received_at<?)"},
	} {
		got := plan(t, c.readDB, q.query, q.args...)
		if !strings.Contains(got, q.uses) || strings.Contains(got, "SCAN deletion") || strings.Contains(got, sorting) && name != "deletions of" {
			t.Errorf("%s: want %q; the plan is\n%s", name, q.uses, got)
		}
	}
}

// Questions that come again and again while the catalog grows read no more than
// their answer: no table as a whole, and of a page's order nothing is sorted.
func TestCloudPlans(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{})
	for name, q := range map[string]struct {
		query string
		args  []any
		uses  string
	}{
		"unasked":        {unaskedQuery, []any{"c", 0, 1}, "SEARCH deletions USING INDEX deletions_unasked (cloud=? AND received_at>?)"},
		"find deletions": {findDeletionsQuery, []any{"c", 0, 1}, "SEARCH deletions USING INDEX deletions_by_act (cloud=? AND acted_at>? AND acted_at<?)"},
		"sighting":       {sightingQuery, []any{"c", "vm", "id"}, "(cloud=? AND kind=? AND id=?)"},
		"vanished":       {vanishedQuery, []any{"c", 0, 1}, "SEARCH s USING COVERING INDEX sightings_living (cloud=? AND seen_at<?)"},
		"mark dead":      {markDeadQuery, []any{"c", "vm", "id"}, "(cloud=? AND kind=? AND id=?)"},
		"forget":         {forgetSightingsQuery, []any{0}, "INDEX sightings_dead (seen_at<?)"},
		"seen images":    {seenImagesQuery, []any{"f", "p", ""}, "SEARCH seen_images USING PRIMARY KEY (fsid=? AND pool=? AND namespace=?)"},
		"forget image":   {forgetImageQuery, []any{"f", "p", "", "i"}, "SEARCH seen_images USING PRIMARY KEY (fsid=? AND pool=? AND namespace=? AND image_id=?)"},
	} {
		got := plan(t, c.readDB, q.query, q.args...)
		if !strings.Contains(got, q.uses) || strings.Contains(got, "SCAN") || strings.Contains(got, sorting) && name != "find deletions" {
			t.Errorf("%s: want %q; the plan is\n%s", name, q.uses, got)
		}
	}
}

// The shares of a pool are summed up out of one index, and those of a project that
// may go are read in their order, however many disks there are.
func TestSharePlans(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{})
	q := classArgs(quarantine.ShareQuery{FSID: "f", Pool: "vms"})
	for name, p := range map[string]struct {
		query string
		args  []any
		uses  string
	}{
		"shares":    {sharesQuery, append([]any{"f", "vms"}, q...), "COVERING INDEX disks_by_share (fsid=? AND pool=?)"},
		"evictable": {evictableQuery, append(q, "p", 0, "", 9), "COVERING INDEX disks_by_share (fsid=? AND pool=? AND share=? AND"},
		"due":       {dueQuery, []any{0, 1, "f", "vms", 0, 9}, "COVERING INDEX disks_by_share (fsid=? AND pool=?)"},
		"evicted":   {evictedQuery, []any{0, "f", "vms", 0, 0}, "COVERING INDEX disks_evicted (fsid=? AND pool=?)"},
	} {
		if got := plan(t, c.readDB, p.query, p.args...); !strings.Contains(got, p.uses) || strings.Contains(got, "TEMP B-TREE") && name != "due" {
			t.Errorf("%s: want %q; the plan is\n%s", name, p.uses, got)
		}
	}
}

// What is counted thousands ahead, for the lists of people, is counted out of an
// index, and no row is looked at.
func TestCountPlans(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{})
	yes, now := true, time.Now()
	quarantined := []quarantine.State{quarantine.Quarantined, quarantine.Expiring}
	pool := &quarantine.PoolRef{FSID: "f", Pool: "vms"}
	for name, f := range map[string]quarantine.DiskFilter{
		"all":              {},
		"time":             {DeletedFrom: now, DeletedTo: now},
		"states":           {States: quarantined, DeletedFrom: now},
		"cloud":            {Cloud: "c", DeletedFrom: now},
		"cloud and states": {Cloud: "c", States: quarantined, DeletedFrom: now},
		"pool":             {Pool: pool, DeletedFrom: now},
		"pool and states":  {Pool: pool, States: quarantined, DeletedFrom: now},
		"held":             {Held: &yes, DeletedFrom: now},
		"unexplained":      {Unexplained: true, DeletedFrom: now},
		"project":          {Project: "p", DeletedFrom: now},
		"address":          {Address: "192.0.2.7", DeletedFrom: now},
		"name":             {OriginalNames: []string{"x"}},
	} {
		query, args := countQuery(f, 2001)
		for step := range strings.Lines(plan(t, c.readDB, query, args...)) {
			if strings.Contains(step, " disks ") && !strings.Contains(step, "COVERING INDEX") {
				t.Errorf("%s: the rows are read: %s", name, step)
			}
		}
	}
}
