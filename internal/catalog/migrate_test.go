package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// oldCatalog makes the file of a program that knew the schema's first version
// only, with the deletions in it as that program wrote them.
func oldCatalog(t *testing.T, deletions []quarantine.Deletion) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "catalog.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrateTo(t, db, 1)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deletions {
		record, err := json.Marshal(d.Normalize())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(`INSERT INTO deletions (id, received_at, is_open, record) VALUES (?, ?, ?, ?)`, d.ID, d.ReceivedAt.UnixMicro(), 1, string(record)); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(`INSERT INTO deletion_disks (name, is_prefix, deletion_id) VALUES (?, 0, ?)`, "disk of "+d.ID, d.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec(`INSERT INTO marks (name, value) VALUES ('m', x'00ff')`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return path
}

func migrateTo(t *testing.T, db *sql.DB, version int64) {
	t.Helper()
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	have, err := p.GetDBVersion(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if have < version {
		_, err = p.UpTo(context.Background(), version)
	} else {
		_, err = p.DownTo(context.Background(), version)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func openPath(t *testing.T, path string) *Catalog {
	t.Helper()
	c, err := Open(context.Background(), path, Options{}, slog.New(slog.DiscardHandler))
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

// A catalog of the first version is taken over: its deletions are found by
// cloud and by the time of their act, to the microsecond, as those that are
// recorded now, and none was asked about. All else is as it was.
func TestMigrateFromVersion1(t *testing.T) {
	t.Parallel()
	var deletions []quarantine.Deletion
	add := func(cloud string, ended, started, received time.Time) {
		deletions = append(deletions, quarantine.Deletion{
			ID: fmt.Sprint("del", len(deletions)), Cloud: cloud, Kind: quarantine.KindDelete, ResourceKind: quarantine.ResourceVM, ResourceID: "vm",
			EndedAt: ended, StartedAt: started, ReceivedAt: received,
			Disks: []quarantine.DiskRef{{Name: fmt.Sprint("disk of del", len(deletions)), Required: true}},
		})
	}
	zero, far := time.Time{}, time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, at := range []time.Time{
		time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC),
		time.Date(2025, 3, 4, 5, 6, 7, 1000, time.UTC),
		time.Date(2025, 3, 4, 5, 6, 7, 10_000, time.UTC),
		time.Date(2025, 3, 4, 5, 6, 7, 100_000_000, time.UTC),
		time.Date(2025, 3, 4, 5, 6, 7, 123_456_000, time.UTC),
		time.Date(2025, 12, 31, 23, 59, 59, 999_999_000, time.UTC), // the next second in whole milliseconds
		time.Date(2024, 2, 29, 0, 0, 0, 0, time.FixedZone("east", 7200)),
		time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
	} {
		add("os", at, far, far)
		add("os", zero, at, far)
		add("os", zero, zero, at)
	}
	add("os", zero, zero, zero)
	for _, cloud := range []string{"a<b>&c", `q"uo'te\`, "é\u2028", "x\xffy", ".cloud", "null"} {
		add(cloud, far, zero, far)
	}
	c := openPath(t, oldCatalog(t, deletions))
	fresh := openInternal(t, Options{})
	for _, d := range deletions {
		if _, _, err := fresh.MergeDeletion(context.Background(), d); err != nil {
			t.Fatalf("merge: %v", err)
		}
	}
	got, want := deletionRows(t, c), deletionRows(t, fresh)
	if len(got) != len(deletions) || len(want) != len(got) {
		t.Fatalf("%d rows, %d of a new catalog", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("taken over: %+v\nnew:        %+v", got[i], want[i])
		}
	}

	ctx := context.Background()
	open, err := c.Unasked(ctx, "os", time.Time{}, 0)
	if err != nil || len(open) != len(deletions)-6 {
		t.Errorf("%d are unasked, %v", len(open), err)
	}
	if still, err := c.OpenDeletions(ctx, far.AddDate(9000, 0, 0), 0, 0); err != nil || len(still) != len(deletions) {
		t.Errorf("%d are open, %v", len(still), err)
	}
	if of, err := c.DeletionsOf(ctx, []string{"disk of del7"}); err != nil || len(of) != 1 {
		t.Errorf("%d deletions of a disk, %v", len(of), err)
	}
	if v, err := c.Mark(ctx, "m"); err != nil || string(v) != "\x00\xff" {
		t.Errorf("mark %q, %v", v, err)
	}
	if _, changed, err := c.MergeDeletion(ctx, deletions[0]); changed || err != nil {
		t.Errorf("the same report again is news: %v, %v", changed, err)
	}
	if err := c.See(ctx, []quarantine.Sighting{{SeenAt: far, Deletion: deletions[0]}}); err != nil {
		t.Errorf("see: %v", err)
	}
}

// row is what the catalog derives from a deletion's record.
type row struct {
	id, cloud         string
	receivedAt, acted int64
	asked, open       bool
}

func deletionRows(t *testing.T, c *Catalog) []row {
	t.Helper()
	rows, err := c.readDB.Query(`SELECT id, cloud, received_at, acted_at, asked, is_open FROM deletions ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.cloud, &r.receivedAt, &r.acted, &r.asked, &r.open); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// The time that SQLite reads out of any record is the time that Go reads.
func TestMigratedTimes(t *testing.T) {
	t.Parallel()
	var deletions []quarantine.Deletion
	times := rapid.Int64Range(time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC).UnixMicro(), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).UnixMicro())
	for i := range 2000 {
		deletions = append(deletions, quarantine.Deletion{ID: fmt.Sprintf("del%04d", i), Cloud: "os", EndedAt: time.UnixMicro(times.Example(i)).UTC()})
	}
	c := openPath(t, oldCatalog(t, deletions))
	for i, r := range deletionRows(t, c) {
		if want := deletions[i].EndedAt.UnixMicro(); r.acted != want {
			t.Errorf("%s became %s", deletions[i].EndedAt, time.UnixMicro(r.acted).UTC())
		}
	}
}

// The second version can be taken back, and comes again: the first one's
// tables are then as they were.
func TestMigrateDownAndUp(t *testing.T) {
	t.Parallel()
	d := quarantine.Deletion{ID: "del", Cloud: "os", EndedAt: time.Unix(1, 0)}
	path := oldCatalog(t, []quarantine.Deletion{d})
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	schema := func() string {
		t.Helper()
		var s string
		if err := db.QueryRow(`SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master WHERE name NOT LIKE 'goose%' ORDER BY name)`).Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := schema()
	migrateTo(t, db, 2)
	if schema() == before {
		t.Errorf("nothing was migrated")
	}
	migrateTo(t, db, 1)
	if after := schema(); after != before {
		t.Errorf("the schema became\n%s\nand was\n%s", after, before)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := openPath(t, path).FindDeletions(context.Background(), "os", time.Unix(1, 0), time.Unix(2, 0)); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}
