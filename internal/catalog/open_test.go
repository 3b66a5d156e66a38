package catalog_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"quarantine/internal/catalog"
	"quarantine/internal/quarantine"
)

// tryOpen opens and closes, and returns what was logged.
func tryOpen(t *testing.T, path string) (logged string, err error) {
	t.Helper()
	var b bytes.Buffer
	c, err := catalog.Open(context.Background(), path, catalog.Options{}, slog.New(slog.NewTextHandler(&b, nil)))
	if err != nil {
		return b.String(), err
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return b.String(), nil
}

// exec runs SQL on a file, as another program does.
func exec(t *testing.T, path string, queries ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	for _, q := range queries {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return b
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	var out []string
	for _, f := range files {
		out = append(out, f.Name())
	}
	return out
}

func disk(id string) quarantine.Disk {
	return quarantine.Disk{ID: id, State: quarantine.Quarantined, OriginalName: id + "_disk"}
}

func put(t *testing.T, c *catalog.Catalog, d quarantine.Disk) quarantine.Disk {
	t.Helper()
	saved, err := c.PutDisk(context.Background(), d)
	if err != nil {
		t.Fatalf("put: %v", err)
	}
	return saved
}

// A new file is made, for its owner only, with its schema; opened again it
// says nothing new and has what was put there. Closed, it is one file.
func TestOpenFreshAndAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "catalog.db")
	if logged, err := tryOpen(t, path); err != nil || !strings.Contains(logged, "migrated") {
		t.Fatalf("fresh: %v, logged %q", err, logged)
	}
	c := open(t, path)
	put(t, c, disk("d"))
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if logged, err := tryOpen(t, path); err != nil || logged != "" {
		t.Errorf("again: %v, logged %q", err, logged)
	}
	c = open(t, path)
	defer c.Close()
	if _, err := c.Disk(context.Background(), "d"); err != nil {
		t.Errorf("disk: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("closed, it leaves %v", got)
	}
}

// Any path means itself, with the signs that have a meaning in SQLite's URIs,
// and from the working directory.
func TestOpenOddPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"what?mode=ro&x=1", "100%41", "a b#c", "é+", ":memory:", "file:x"} {
		dir := t.TempDir()
		if _, err := tryOpen(t, filepath.Join(dir, name)); err != nil {
			t.Errorf("open %q: %v", name, err)
		}
		if got := names(t, dir); len(got) != 1 || got[0] != name {
			t.Errorf("open %q made %q", name, got)
		}
	}
}

// refused checks that Open refuses the file as it is and leaves it so.
func refused(t *testing.T, what, path, reason string) {
	t.Helper()
	before, dir := read(t, path), names(t, filepath.Dir(path))
	_, err := tryOpen(t, path)
	if !errors.Is(err, quarantine.ErrInvalid) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), reason) {
		t.Errorf("%s: %v", what, err)
	}
	if !bytes.Equal(before, read(t, path)) {
		t.Errorf("%s: the file was changed", what)
	}
	if after := names(t, filepath.Dir(path)); len(after) != len(dir) {
		t.Errorf("%s: files %v became %v", what, dir, after)
	}
}

// A file that is no database, or another's, is refused and left as it was.
func TestOpenRefusesForeignFiles(t *testing.T) {
	t.Parallel()
	for what, content := range map[string]string{
		"a text": "hello\n", "a long text": strings.Repeat("no database\n", 1000), "zeros": strings.Repeat("\x00", 8192),
		"the head of a database": "SQLite format 3\x00", "a damaged database": "SQLite format 3\x00" + strings.Repeat("x", 8192),
	} {
		path := filepath.Join(t.TempDir(), "catalog.db")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, what, path, "no SQLite database")
	}
	path := filepath.Join(t.TempDir(), "other.db")
	exec(t, path, `CREATE TABLE cookies (x)`, `INSERT INTO cookies VALUES (1)`)
	refused(t, "another program's", path, "another program")
	path = filepath.Join(t.TempDir(), "goose.db")
	exec(t, path, `CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))`,
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1)`, `CREATE TABLE songs (x)`)
	refused(t, "another program's with goose", path, "another program")
}

// A schema of a newer program is refused and left as it was: this program
// would not know what it destroys.
func TestOpenRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	if _, err := tryOpen(t, path); err != nil {
		t.Fatal(err)
	}
	exec(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
	refused(t, "newer", path, "schema version 99")
}

// A first migration that was cut short by a crash is done again.
func TestOpenAfterInterruptedMigration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	exec(t, path, `CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))`,
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)`)
	c := open(t, path)
	defer c.Close()
	put(t, c, disk("d"))
}

// Where the file cannot be, the error says so, and that nothing may be
// concluded from it.
func TestOpenUnavailable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for what, path := range map[string]string{"no such directory": filepath.Join(dir, "none", "catalog.db"), "a directory": dir} {
		if _, err := tryOpen(t, path); !errors.Is(err, quarantine.ErrUnavailable) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := catalog.Open(ended, filepath.Join(dir, "c.db"), catalog.Options{}, slog.New(slog.DiscardHandler)); !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

// asNobody runs f in a thread that may do on the file system what any user
// may; root's rights would hide what is tested.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		setfsuid := func(uid uintptr) { _, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, uid, 0, 0) }
		setfsuid(65534)
		defer setfsuid(0)
	}
	f()
}

// In a directory that cannot be written to, no catalog is made, and one that is
// there is not opened: its write-ahead log could not be beside it.
func TestOpenInReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "catalog.db")
	if _, err := tryOpen(t, path); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(path, 0o666), os.Chmod(dir, 0o555)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = os.Chmod(dir, 0o755) }() // so that it can be removed
	before := read(t, path)
	asNobody(t, func() {
		for _, name := range []string{"new.db", "catalog.db"} {
			path := filepath.Join(dir, name)
			if _, err := tryOpen(t, path); !errors.Is(err, quarantine.ErrUnavailable) || !strings.Contains(err.Error(), path) {
				t.Errorf("open %s: %v", name, err)
			}
		}
	})
	if !bytes.Equal(before, read(t, path)) || len(names(t, dir)) != 1 {
		t.Errorf("the directory was changed: %v", names(t, dir))
	}
}

// A file that may only be read is not opened.
func TestOpenReadOnlyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "catalog.db")
	if _, err := tryOpen(t, path); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777), os.Chmod(path, 0o444)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t, func() {
		if _, err := tryOpen(t, path); !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, os.ErrPermission) {
			t.Errorf("open: %v", err)
		}
	})
}
