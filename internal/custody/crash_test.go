package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"quarantine/internal/quarantine"
)

// A power cut can leave any beginning of the file. Each opens, verifies, has
// exactly the whole lines, keeps the rest aside, and takes new entries.
func TestAnyBeginningOpens(t *testing.T) {
	t.Parallel()
	good, dir := sample(t, 2), t.TempDir()
	for n := range len(good) + 1 {
		path := filepath.Join(dir, fmt.Sprint(n))
		write(t, path, good[:n])
		l := open(t, path)
		whole := good[:bytes.LastIndexByte(good[:n], '\n')+1]
		if seq, _ := l.Head(); seq != uint64(bytes.Count(whole, []byte("\n"))) {
			t.Errorf("%d bytes: head %d", n, seq)
		}
		if b := read(t, path); !bytes.Equal(b, whole) {
			t.Errorf("%d bytes: %d are left, want %d", n, len(b), len(whole))
		}
		kept, err := os.ReadFile(path + ".torn")
		if rest := good[len(whole):n]; len(rest) > 0 && string(kept) != string(rest)+"\n" || len(rest) == 0 && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d bytes: kept %q, %v", n, kept, err)
		}
		add(t, l, entryOf("disk0", 100))
		verify(t, l)
		if es := entries(t, l, "disk0"); es[len(es)-1].Detail["case"] != "100" {
			t.Errorf("%d bytes: entries %v", n, es)
		}
		shut(t, l)
		if t.Failed() {
			return
		}
	}
}

// A torn line is logged with the place where it is kept, and a second one does
// not replace the first. Zeros, which some file systems leave, are torn too.
func TestTorn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "custody.jsonl")
	good := sample(t, 2)
	zeros := strings.Repeat("\x00", maxLine+4096)
	for _, rest := range []string{`{"seq":3,"pr`, zeros} {
		write(t, path, append(bytes.Clone(good), rest...))
		var logged bytes.Buffer
		l, err := Open(path, slog.New(slog.NewJSONHandler(&logged, nil)), clock)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		verify(t, l)
		shut(t, l)
		if !strings.Contains(logged.String(), `"WARN"`) || !strings.Contains(logged.String(), path+".torn") {
			t.Errorf("logged %s", logged.String())
		}
	}
	if kept := string(read(t, path+".torn")); kept != `{"seq":3,"pr`+"\n"+zeros+"\n" {
		t.Errorf("kept %d bytes: %.40q", len(kept), kept)
	}
}

// While the torn line cannot be put aside, the log opens and is read, and
// Append fails with the reason; as soon as it can, Append goes on.
func TestTornCannotBePutAside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "custody.jsonl")
	write(t, path, append(sample(t, 3), "torn"...))
	if err := os.Mkdir(path+".torn", 0o700); err != nil {
		t.Fatal(err)
	}
	l := open(t, path)
	defer shut(t, l)
	verify(t, l)
	same(t, entries(t, l, "disk1"), []quarantine.Entry{entryOf("disk1", 1)})
	if err := l.Append(context.Background(), entryOf("d", 1)); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("append: %v", err)
	}
	if err := os.Remove(path + ".torn"); err != nil {
		t.Fatal(err)
	}
	add(t, l, entryOf("d", 1))
	verify(t, l)
	if kept := string(read(t, path+".torn")); kept != "torn\n" {
		t.Errorf("kept %q", kept)
	}
}

// faulty is a file that fails when it is told to.
type faulty struct {
	lockedFile
	short               atomic.Int64 // how many bytes the next write takes; -1: all
	failSync, failCut   atomic.Bool
	writes, syncs, cuts atomic.Int64
}

func (f *faulty) Write(b []byte) (int, error) {
	f.writes.Add(1)
	if n := f.short.Load(); n >= 0 {
		n, err := f.File.Write(b[:min(int(n), len(b))])
		return n, errors.Join(syscall.ENOSPC, err)
	}
	return f.File.Write(b)
}

func (f *faulty) Sync() error {
	f.syncs.Add(1)
	if f.failSync.Load() {
		return syscall.EIO
	}
	return f.File.Sync()
}

func (f *faulty) Truncate(n int64) error {
	f.cuts.Add(1)
	if f.failCut.Load() {
		return syscall.EPERM
	}
	return f.File.Truncate(n)
}

func newFaulty(t *testing.T) (*Log, *faulty) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "custody.jsonl")
	f, err := openFile(path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	file := &faulty{lockedFile: f}
	file.short.Store(-1)
	l, err := start(path, file, slog.New(slog.DiscardHandler), clock)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() { shut(t, l) })
	return l, file
}

// A write that the disk takes in part is an error, leaves nothing in the file,
// and the next entry follows the last good one.
func TestPartialWrite(t *testing.T) {
	t.Parallel()
	l, file := newFaulty(t)
	fill(t, l, 2)
	good := read(t, l.path)
	for _, n := range []int64{0, 1, 100, 1 << 20} {
		file.short.Store(n)
		err := l.Append(context.Background(), entryOf("disk0", 7))
		if !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("append: %v", err)
		}
		if b := read(t, l.path); !bytes.Equal(b, good) {
			t.Errorf("after %d bytes the file has %d, want %d", n, len(b), len(good))
		}
		verify(t, l)
	}
	file.short.Store(-1)
	add(t, l, entryOf("disk0", 8))
	verify(t, l)
	same(t, entries(t, l, "disk0"), []quarantine.Entry{entryOf("disk0", 0), entryOf("disk0", 8)})
}

// While what a failed write left cannot be cut off, nothing is written after
// it, and the error says so. When it can be, the log goes on.
func TestPartialWriteThatCannotBeCutOff(t *testing.T) {
	t.Parallel()
	l, file := newFaulty(t)
	fill(t, l, 2)
	file.short.Store(50)
	file.failCut.Store(true)
	if err := l.Append(context.Background(), entryOf("disk0", 7)); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, syscall.EPERM) {
		t.Errorf("append: %v", err)
	}
	file.short.Store(-1)
	writes := file.writes.Load()
	if err := l.Append(context.Background(), entryOf("disk0", 8)); !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, syscall.EPERM) {
		t.Errorf("append: %v", err)
	}
	if file.writes.Load() != writes {
		t.Errorf("it was written after the leftover")
	}
	verify(t, l) // the leftover is not the chain's
	same(t, entries(t, l, "disk0"), []quarantine.Entry{entryOf("disk0", 0)})
	file.failCut.Store(false)
	add(t, l, entryOf("disk0", 9))
	verify(t, l)
}

// After a failed fsync nothing is acknowledged until the log is opened again,
// even when the next fsync would say that all is well.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	l, file := newFaulty(t)
	fill(t, l, 2)
	file.failSync.Store(true)
	if err := l.Append(context.Background(), entryOf("disk0", 7)); !errors.Is(err, syscall.EIO) {
		t.Errorf("append: %v", err)
	}
	file.failSync.Store(false)
	err := l.Append(context.Background(), entryOf("disk0", 8))
	if !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "opened again") {
		t.Errorf("append: %v", err)
	}
	verify(t, l)
	shut(t, l)
	again := open(t, l.path)
	defer shut(t, again)
	add(t, again, entryOf("disk0", 9))
	verify(t, again)
	same(t, entries(t, again, "disk0"), []quarantine.Entry{entryOf("disk0", 0), entryOf("disk0", 9)})
}

// Append answers only after fsync, and entries that wait together share one.
func TestEntriesShareOneSync(t *testing.T) {
	t.Parallel()
	l, file := newFaulty(t)
	var batch []*request
	for i := range 32 {
		batch = append(batch, &request{ctx: context.Background(), entry: entryOf("d", i), err: make(chan error, 1)})
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	batch[3].ctx = gone                                    // gave up
	batch[5].entry.Reason = strings.Repeat("x", 2*maxLine) // is no line
	l.commit(batch)                                        // the writer is idle
	for i, r := range batch {
		want := map[int]error{3: context.Canceled, 5: quarantine.ErrInvalid}[i]
		if err := <-r.err; !errors.Is(err, want) {
			t.Errorf("entry %d: %v, want %v", i, err, want)
		}
	}
	if n := file.syncs.Load(); n != 1 {
		t.Errorf("%d fsyncs", n)
	}
	if n := len(entries(t, l, "d")); n != 30 {
		t.Errorf("%d entries", n)
	}
	verify(t, l)
}

// unreadable is a file whose reads fail: nothing may be concluded from that.
type unreadable struct{ file }

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

// A file that cannot be read is not called damaged.
func TestReadError(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	fill(t, l, 4)
	bad := &Log{path: l.path, file: unreadable{l.file}, log: l.log, head: l.head, size: l.size, last: l.last, seed: l.seed}
	_, err := bad.Entries(context.Background(), "disk0")
	for _, err := range []error{err, bad.Verify(context.Background())} {
		if !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := start(l.path, unreadable{l.file}, l.log, clock); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("open: %v", err)
	}
}

// A file system that takes no more, here by the process's limit on file sizes,
// costs the entry that did not fit and nothing else. Not parallel: the limit
// is the whole process's.
func TestFullDisk(t *testing.T) {
	l := newLog(t)
	fill(t, l, 3)
	good := read(t, l.path)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	limit := old
	limit.Cur = uint64(len(good)) + 40
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	err := l.Append(context.Background(), entryOf("disk0", 7))
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, syscall.EFBIG) {
		t.Errorf("append: %v", err)
	}
	if b := read(t, l.path); !bytes.Equal(b, good) {
		t.Errorf("the file has %d bytes, want %d", len(b), len(good))
	}
	add(t, l, entryOf("disk0", 8))
	verify(t, l)
}
