package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"quarantine/internal/quarantine"
)

// Options tune a catalog. The zero value is right for a daemon.
type Options struct {
	// Readers is how many reads may go on at once; 0 means 4.
	Readers int
	// BusyTimeout is how long to wait while another process holds the file's
	// write lock; 0 means 10 s.
	BusyTimeout time.Duration
	// MaxBatch is how many waiting changes share a transaction at most; 0
	// means 256.
	MaxBatch int
	// Cache is how much memory, in MiB, the writer keeps of the file, and how much
	// of the log waits until it is folded into the file; 0 means 32. Who fills a
	// large catalog in one go wants more: the indexes are written all over.
	Cache int
}

// Catalog implements quarantine.Disks, quarantine.Deletions, quarantine.Marks,
// quarantine.Forgetter, quarantine.Inventory, quarantine.Inquiries,
// quarantine.SeenImages, quarantine.Requests, quarantine.CaseStore and
// quarantine.StandingStore. Its methods may be called by many goroutines.
type Catalog struct {
	path    string
	writeDB *sql.DB
	readDB  *sql.DB
	writer  *writer
}

var (
	_ quarantine.Disks      = (*Catalog)(nil)
	_ quarantine.Deletions  = (*Catalog)(nil)
	_ quarantine.Marks      = (*Catalog)(nil)
	_ quarantine.Forgetter  = (*Catalog)(nil)
	_ quarantine.Inventory  = (*Catalog)(nil)
	_ quarantine.Inquiries  = (*Catalog)(nil)
	_ quarantine.SeenImages = (*Catalog)(nil)
	_ quarantine.Requests   = (*Catalog)(nil)

	_ quarantine.CaseStore     = (*Catalog)(nil)
	_ quarantine.StandingStore = (*Catalog)(nil)
)

// Open opens the catalog at the path, which it makes (readable by its owner
// only) if it is not there, and brings its schema up to this program's. The
// directory must exist. The error wraps ErrInvalid if the file is no catalog
// or one of a newer program, and then the file is as it was; ErrUnavailable if
// it cannot be read or written.
func Open(ctx context.Context, path string, o Options, log *slog.Logger) (*Catalog, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, unavailable(err, "find %s", path)
	}
	// Opened here first: SQLite would make the file readable by others, and
	// would open one that it may not write without a word.
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unavailable(err, "open for writing")
	}
	if err := f.Close(); err != nil {
		return nil, unavailable(err, "open %s", abs)
	}
	c := &Catalog{path: abs}
	if err := c.open(ctx, o, log); err != nil {
		return nil, errors.Join(err, c.closeDBs())
	}
	return c, nil
}

func (c *Catalog) open(ctx context.Context, o Options, log *slog.Logger) error {
	busy := cmp.Or(o.BusyTimeout, 10*time.Second)
	var err error
	if c.writeDB, err = sql.Open("sqlite", dsn(c.path, busy, cmp.Or(o.Cache, 32))); err != nil {
		return unavailable(err, "open %s", c.path)
	}
	c.writeDB.SetMaxOpenConns(1)
	if err := checkFile(ctx, c.writeDB, c.path); err != nil {
		return err
	}
	if err := migrate(ctx, c.writeDB, c.path, log); err != nil {
		return err
	}
	conn, err := c.writeDB.Conn(ctx)
	if err != nil {
		return unavailable(err, "open %s", c.path)
	}
	if c.readDB, err = sql.Open("sqlite", dsn(c.path, busy, 0)); err != nil {
		return errors.Join(unavailable(err, "open %s for reading", c.path), conn.Close())
	}
	readers := cmp.Or(o.Readers, 4)
	c.readDB.SetMaxOpenConns(readers)
	c.readDB.SetMaxIdleConns(readers)
	if err := c.readDB.PingContext(ctx); err != nil {
		return errors.Join(unavailable(err, "open %s for reading", c.path), conn.Close())
	}
	c.writer = startWriter(conn, cmp.Or(o.MaxBatch, 256))
	return nil
}

// pageSize is that of a new catalog's pages, in bytes.
const pageSize = 8192

// dsn names the file as SQLite's URI. The path is escaped, so that one with a
// question mark or a per cent sign means itself. Who has no cache for writing only
// reads.
func dsn(path string, busy time.Duration, cache int) string {
	q := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"foreign_keys(1)",
		"synchronous(full)",
	}}
	if cache == 0 {
		q.Set("mode", "ro")
		q["_pragma"] = append(q["_pragma"], "query_only(1)")
	} else {
		q.Set("mode", "rw")
		// A row is of about two kilobytes, so of pages of SQLite's own four it
		// would waste a half. The size is that of the file, once it is made.
		// What is in the cache, and what waits in the log, is not read or written
		// again for each change.
		q["_pragma"] = append(q["_pragma"], fmt.Sprintf("page_size(%d)", pageSize),
			fmt.Sprintf("cache_size(-%d)", cache<<10), fmt.Sprintf("wal_autocheckpoint(%d)", cache<<20/pageSize))
	}
	return "file://" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// Close waits for the changes that were asked for, and closes the file.
// Changes asked for later are refused with ErrUnavailable.
func (c *Catalog) Close() error {
	return errors.Join(c.writer.close(), c.closeDBs())
}

func (c *Catalog) closeDBs() error {
	var errs []error
	// The readers first: the last connection to close folds the WAL into the
	// file, which one that cannot write would leave undone.
	for _, db := range []*sql.DB{c.readDB, c.writeDB} {
		if db == nil {
			continue
		}
		if err := db.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.path, err))
		}
	}
	return errors.Join(errs...)
}

// ForgetDisks removes the rows of the disks, all of them or none.
func (c *Catalog) ForgetDisks(ctx context.Context, ids []string) error {
	return c.writer.do(ctx, func(t *txn) error {
		for _, id := range ids {
			if _, err := t.exec(`DELETE FROM disks WHERE id = ?`, id); err != nil {
				return unavailable(err, "forget disk %s", id)
			}
		}
		return nil
	})
}
