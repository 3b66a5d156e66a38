package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

func tiny(id string) quarantine.Disk {
	return quarantine.Disk{ID: id, State: quarantine.Quarantined, OriginalName: id + "_disk"}
}

func pragma(t *testing.T, c *Catalog, name string) string {
	t.Helper()
	var v string
	err := c.writer.do(context.Background(), func(x *txn) error { return x.row("PRAGMA "+name, nil, []any{&v}) })
	if err != nil {
		t.Fatalf("pragma %s: %v", name, err)
	}
	return v
}

// The file is in WAL mode, and a commit is flushed to the disk (FULL is 2):
// what was acknowledged survives a power cut. Readers cannot write.
func TestModes(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{})
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000",
		"page_size": "8192", "cache_size": "-32768", "wal_autocheckpoint": "4096"} {
		if got := pragma(t, c, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if _, err := c.readDB.Exec(`DELETE FROM disks`); err == nil {
		t.Errorf("a reader can write")
	}
	var mode string
	if err := c.readDB.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("readers have %s, %v", mode, err)
	}
}

// Of a batch that shares a transaction the changes that fail leave nothing,
// and the others are committed.
func TestBatchWithFailingChanges(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{})
	if _, err := c.PutDisk(context.Background(), tiny("there")); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	mine := errors.New("mine")
	insert := func(id string) func(*txn) error {
		return func(x *txn) error {
			d := tiny(id)
			d.Version = 1
			return insertDisk(x, &d, columnsOf(&d, []byte("{}")), []term{{termCase, id}})
		}
	}
	changes := []struct {
		ctx   context.Context
		apply func(*txn) error
		want  error
	}{
		{context.Background(), insert("a"), nil},
		{context.Background(), insert("there"), quarantine.ErrConflict},
		{context.Background(), func(x *txn) error { return errors.Join(insert("half")(x), mine) }, mine},
		{ended, insert("late"), context.Canceled},
		{context.Background(), func(x *txn) error {
			_, err := x.exec("INSERT INTO nothing VALUES (1)")
			return unavailable(err, "write")
		}, quarantine.ErrUnavailable},
		{context.Background(), func(x *txn) error {
			_, err := x.exec("INSERT INTO disk_terms VALUES ('k', 'v', 'no such disk')")
			return unavailable(err, "write")
		}, quarantine.ErrUnavailable},
		{context.Background(), insert("b"), nil},
	}
	// The writer is held until all wait, so that they make one batch.
	hold := make(chan struct{})
	holding := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := c.writer.do(context.Background(), func(*txn) error { close(holding); <-hold; return nil })
		if err != nil {
			t.Errorf("hold: %v", err)
		}
	})
	<-holding
	waiting := make([]*change, len(changes))
	for i, x := range changes {
		waiting[i] = &change{ctx: x.ctx, apply: x.apply, err: make(chan error, 1)}
		c.writer.queue <- waiting[i]
	}
	close(hold)
	for i, x := range changes {
		if err := <-waiting[i].err; !errors.Is(err, x.want) {
			t.Errorf("change %d: %v, want %v", i, err, x.want)
		}
	}
	wg.Wait()
	ds, err := c.FindDisks(context.Background(), quarantine.DiskFilter{Sort: "original_name"})
	var terms string
	terr := c.readDB.QueryRow(`SELECT group_concat(disk_id, ' ') FROM (SELECT disk_id FROM disk_terms ORDER BY disk_id)`).Scan(&terms)
	if err != nil || len(ds) != 3 || terr != nil || terms != "a b" {
		t.Errorf("%d disks, %v; terms of %q, %v", len(ds), err, terms, terr)
	}
}

// A full disk costs the changes that did not fit; when there is room again the
// catalog goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{})
	ctx := context.Background()
	if _, err := c.PutDisk(ctx, tiny("before")); err != nil {
		t.Fatal(err)
	}
	pragma(t, c, "max_page_count = 1") // as many as there are
	big := tiny("big")
	big.Intent = strings.Repeat("x", 1<<20)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			d := big
			d.ID = fmt.Sprint("big", i)
			if _, err := c.PutDisk(ctx, d); !errors.Is(err, quarantine.ErrUnavailable) {
				t.Errorf("put: %v", err)
			}
		})
	}
	wg.Wait()
	if n, err := c.CountDisks(ctx, quarantine.DiskFilter{}, 0); err != nil || n != 1 {
		t.Errorf("%d disks, %v", n, err)
	}
	pragma(t, c, "max_page_count = 100000")
	if _, err := c.PutDisk(ctx, big); err != nil {
		t.Errorf("put: %v", err)
	}
	if got := pragma(t, c, "integrity_check"); got != "ok" {
		t.Errorf("integrity: %s", got)
	}
}

// While another process writes, a change waits for the busy time and is then
// given up, with nothing written; when the other is done the next one passes.
func TestLockedByAnother(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{BusyTimeout: 20 * time.Millisecond})
	other, err := Open(context.Background(), c.path, Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open by another: %v", err)
	}
	defer func() {
		if err := other.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	hold, holding := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := other.writer.do(context.Background(), func(*txn) error { close(holding); <-hold; return nil }); err != nil {
			t.Errorf("hold: %v", err)
		}
	})
	<-holding
	if _, err := c.PutDisk(context.Background(), tiny("d")); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if n, err := c.CountDisks(context.Background(), quarantine.DiskFilter{}, 0); err != nil || n != 0 {
		t.Errorf("reading meanwhile: %d, %v", n, err)
	}
	close(hold)
	wg.Wait()
	if _, err := c.PutDisk(context.Background(), tiny("d")); err != nil {
		t.Errorf("put: %v", err)
	}
	if _, err := other.Disk(context.Background(), "d"); err != nil {
		t.Errorf("the other reads: %v", err)
	}
}

// What was acknowledged is in the files at that moment: a copy of them, as a
// power cut would leave it, has it, and none of what was not finished.
func TestCrash(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{})
	ctx := context.Background()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 5 {
				if _, err := c.PutDisk(ctx, tiny(fmt.Sprintf("d%d-%d", w, n))); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	wg.Wait()
	copied := filepath.Join(t.TempDir(), "catalog.db")
	unfinished := func(x *txn) error {
		d := tiny("unfinished")
		d.Version = 1
		if err := insertDisk(x, &d, columnsOf(&d, []byte("{}")), nil); err != nil {
			return err
		}
		for _, end := range []string{"", "-wal"} {
			b, err := os.ReadFile(c.path + end)
			if err != nil {
				return err
			}
			if err := os.WriteFile(copied+end, b, 0o600); err != nil {
				return err
			}
		}
		return nil
	}
	if err := c.writer.do(ctx, unfinished); err != nil {
		t.Fatalf("copy: %v", err)
	}
	after, err := Open(ctx, copied, Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open the copy: %v", err)
	}
	defer func() {
		if err := after.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	if n, err := after.CountDisks(ctx, quarantine.DiskFilter{}, 0); err != nil || n != 40 {
		t.Errorf("%d disks, %v", n, err)
	}
	if got := pragma(t, after, "integrity_check"); got != "ok" {
		t.Errorf("integrity: %s", got)
	}
}

// Close lets finish what was asked for and refuses what comes later; what was
// acknowledged is there when the file is opened again, and nothing else.
func TestCloseUnderLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	ctx, log := context.Background(), slog.New(slog.DiscardHandler)
	c, err := Open(ctx, path, Options{MaxBatch: 4}, log)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	acknowledged, begun := map[string]bool{}, make(chan struct{}, 64)
	for w := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("d%d-%d", w, n)
				if _, err := c.PutDisk(ctx, tiny(id)); err != nil {
					if !errors.Is(err, quarantine.ErrUnavailable) {
						t.Errorf("put: %v", err)
					}
					return
				}
				mu.Lock()
				acknowledged[id] = true
				mu.Unlock()
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 32 {
		<-begun
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	if _, err := c.Disk(ctx, "d0-0"); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("read of a closed catalog: %v", err)
	}
	if err := c.ForgetDisks(ctx, []string{"d0-0"}); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("change of a closed catalog: %v", err)
	}
	again, err := Open(ctx, path, Options{}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	ds, err := again.FindDisks(ctx, quarantine.DiskFilter{})
	if err != nil || len(ds) != len(acknowledged) {
		t.Errorf("%d disks, %v; %d were acknowledged", len(ds), err, len(acknowledged))
	}
	for _, d := range ds {
		if !acknowledged[d.ID] {
			t.Errorf("%s was not acknowledged", d.ID)
		}
	}
}

// A change that failed and had written nothing costs the others of its batch
// nothing: they are applied once. One that had written is taken back alone.
func TestBatchIsAppliedOnce(t *testing.T) {
	t.Parallel()
	c := openInternal(t, Options{})
	mine := errors.New("mine")
	for name, x := range map[string]struct {
		fails func(*txn) error
		times int
	}{
		"nothing written": {func(x *txn) error {
			if n, err := x.exec(`UPDATE marks SET value = 'x' WHERE name = 'none'`); n > 0 || err != nil {
				return errors.Join(err, errors.New("a row was changed"))
			}
			return mine
		}, 1},
		"something written": {func(x *txn) error {
			_, err := x.exec(`INSERT INTO marks (name, value) VALUES ('left', 'x')`)
			return errors.Join(err, mine)
		}, 2},
	} {
		times := 0
		batch := []*change{
			{ctx: t.Context(), err: make(chan error, 1), apply: func(*txn) error { times++; return nil }},
			{ctx: t.Context(), err: make(chan error, 1), apply: x.fails},
		}
		// In the writer's own goroutine, between its batches.
		c.writer.queue <- &change{ctx: t.Context(), err: make(chan error, 1), apply: func(x *txn) error {
			if _, err := x.exec("COMMIT"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			x.commit(batch)
			_, err := x.exec("BEGIN")
			return err
		}}
		if err := <-batch[0].err; err != nil {
			t.Errorf("%s: the other change: %v", name, err)
		}
		if err := <-batch[1].err; !errors.Is(err, mine) {
			t.Errorf("%s: %v", name, err)
		}
		if times != x.times {
			t.Errorf("%s: the other change was applied %d times, want %d", name, times, x.times)
		}
	}
	if v, err := c.Mark(context.Background(), "left"); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("the failed change left %q, %v", v, err)
	}
}
