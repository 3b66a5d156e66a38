package custody

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

var t0 = time.Date(2025, 3, 4, 5, 6, 7, 890_000_000, time.UTC)

// tb is what *testing.T, *testing.B and *rapid.T have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

func clock() time.Time { return t0 }

func open(t tb, path string) *Log {
	t.Helper()
	l, err := Open(path, slog.New(slog.DiscardHandler), clock)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return l
}

func shut(t tb, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// newLog opens a log of its own for the test, closed at its end.
func newLog(t *testing.T) *Log {
	t.Helper()
	l := open(t, filepath.Join(t.TempDir(), "custody.jsonl"))
	t.Cleanup(func() { shut(t, l) })
	return l
}

// entryOf is a full entry; n tells it from others.
func entryOf(disk string, n int) quarantine.Entry {
	return quarantine.Entry{
		At: t0.Add(time.Duration(n) * time.Second), Disk: disk, Act: "hold", Outcome: quarantine.OutcomeDone, Actor: "ann",
		Reason: fmt.Sprintf("reason %d <&> \"quoted\"\nnew line é \u2028", n),
		Key:    &quarantine.Key{FSID: "f", Pool: "vms", ImageID: disk},
		Detail: map[string]string{"z": "last", "case": fmt.Sprint(n), "a": "first"},
	}
}

func add(t tb, l *Log, entries ...quarantine.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := l.Append(context.Background(), e); err != nil {
			t.Fatalf("append: %v", err)
		}
	}
}

// fill writes n entries about three disks by turns.
func fill(t tb, l *Log, n int) {
	t.Helper()
	for i := range n {
		add(t, l, entryOf(fmt.Sprintf("disk%d", i%3), i))
	}
}

func verify(t tb, l *Log) {
	t.Helper()
	if err := l.Verify(context.Background()); err != nil {
		t.Errorf("verify: %v", err)
	}
}

func entries(t tb, l *Log, disk string) []quarantine.Entry {
	t.Helper()
	es, err := l.Entries(context.Background(), disk)
	if err != nil {
		t.Fatalf("entries of %s: %v", disk, err)
	}
	return es
}

// same compares entries as JSON writes them.
func same(t tb, got, want []quarantine.Entry) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	if !bytes.Equal(g, w) {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func read(t tb, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return b
}

func write(t tb, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// What was appended is read back whole and in order, per disk, by the process
// that wrote it and by the next one, which goes on with the chain.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "custody.jsonl")
	want := map[string][]quarantine.Entry{}
	seq := 0
	for range 2 {
		l := open(t, path)
		for range 10 {
			disk := []string{"d1", "d2", `odd "id" \`, ""}[seq%4]
			e := entryOf(disk, seq)
			add(t, l, e)
			want[disk] = append(want[disk], e)
			seq++
		}
		for disk, es := range want {
			same(t, entries(t, l, disk), es)
		}
		if es := entries(t, l, "never seen"); len(es) != 0 {
			t.Errorf("entries of an unknown disk: %v", es)
		}
		if n, hash := l.Head(); n != uint64(seq) || len(hash) != 64 {
			t.Errorf("head %d %q after %d entries", n, hash, seq)
		}
		verify(t, l)
		shut(t, l)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// The hash can be checked without this program, as doc.go says; and equal
// entries make equal bytes, whatever the order in which their details were
// put in.
func TestFormat(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	fill(t, l, 3)
	lines := strings.Split(strings.TrimSpace(string(read(t, l.path))), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	out, err := exec.Command("sh", "-c", `sed -n 2p "$0" | sed -E 's/,"hash":"[0-9a-f]{64}"\}$//' | tr -d '\n' | sha256sum`, l.path).Output()
	if err != nil {
		t.Fatalf("sha256sum: %v", err)
	}
	var second, third struct {
		Seq        uint64
		Prev, Hash string
		Back       int64
		Entry      quarantine.Entry
	}
	if err := errors.Join(json.Unmarshal([]byte(lines[1]), &second), json.Unmarshal([]byte(lines[2]), &third)); err != nil {
		t.Fatalf("decode: %v", err)
	}
	if sum, _, _ := strings.Cut(string(out), " "); sum != second.Hash || third.Prev != second.Hash || second.Seq != 2 || second.Back != -1 {
		t.Errorf("sha256sum says %s; lines %+v, %+v", sum, second, third)
	}
	same(t, []quarantine.Entry{second.Entry}, []quarantine.Entry{entryOf("disk1", 1)})
	if !strings.Contains(lines[1], `"detail":{"a":"first","case":"1","z":"last"}`) {
		t.Errorf("details are not sorted: %s", lines[1])
	}
}

// An entry without a time gets the clock's, and times are written in UTC.
func TestTime(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	add(t, l, quarantine.Entry{Disk: "d"}, quarantine.Entry{Disk: "d", At: t0.In(time.FixedZone("east", 3600))})
	for _, e := range entries(t, l, "d") {
		if e.At != t0 {
			t.Errorf("time is %v, want %v", e.At, t0)
		}
	}
}

// What cannot be a line is refused, and the chain goes on without it.
func TestErrInvalid(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	for name, e := range map[string]quarantine.Entry{
		"too long":    {Disk: "d", Reason: strings.Repeat("x", maxLine)},
		"a far year":  {Disk: "d", At: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)},
		"a past year": {Disk: "d", At: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if err := l.Append(context.Background(), e); !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := quarantine.Entry{At: t0, Disk: "d", Reason: strings.Repeat("x", maxLine-2048)}
	add(t, l, long)
	same(t, entries(t, l, "d"), []quarantine.Entry{long})
	verify(t, l)
}

// The head of an empty log is zero; a remembered head shows what the chain
// alone cannot show: that lines were cut off the end, at a line's boundary.
func TestHead(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	if seq, hash := l.Head(); seq != 0 || hash != strings.Repeat("0", 64) {
		t.Errorf("head of an empty log: %d %s", seq, hash)
	}
	verify(t, l)
	fill(t, l, 5)
	seq, hash := l.Head()
	b := read(t, l.path)
	cut := filepath.Join(t.TempDir(), "custody.jsonl")
	write(t, cut, b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1])
	c := open(t, cut)
	defer shut(t, c)
	verify(t, c)
	if s, h := c.Head(); s != seq-1 || h == hash {
		t.Errorf("the shorter log's head is %d %s", s, h)
	}
}

// Only one process, or one Log, writes to a file.
func TestErrBusy(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	if _, err := Open(l.path, slog.New(slog.DiscardHandler), clock); !errors.Is(err, quarantine.ErrBusy) || !strings.Contains(err.Error(), l.path) {
		t.Errorf("second open: %v", err)
	}
	fill(t, l, 1)
	shut(t, l)
	again := open(t, l.path)
	defer shut(t, again)
	fill(t, again, 1)
	verify(t, again)
}

// The lock ends with Close, even while a child process holds the file.
func TestLockEndsWithClose(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	fd, err := syscall.Dup(int(l.file.(lockedFile).Fd())) // as fork does
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	shut(t, l)
	shut(t, open(t, l.path))
}

// What is no file for a log is refused with the reason.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, want := range map[string]error{
		dir:                                 quarantine.ErrUnavailable,
		filepath.Join(dir, "none", "c.log"): quarantine.ErrUnavailable,
		"/dev/null":                         quarantine.ErrInvalid,
	} {
		if l, err := Open(path, slog.New(slog.DiscardHandler), clock); !errors.Is(err, want) {
			t.Errorf("open %s: %v, %v", path, l, err)
		}
	}
}

// Close waits for what was asked for; what comes later is refused. Nothing
// that was acknowledged is missing afterwards.
func TestClose(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	acknowledged, begun := 0, make(chan struct{}, 64)
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				err := l.Append(context.Background(), entryOf("d", i*1000+n))
				if err != nil {
					if !errors.Is(err, quarantine.ErrUnavailable) {
						t.Errorf("append after close: %v", err)
					}
					return
				}
				mu.Lock()
				acknowledged++
				mu.Unlock()
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 20 {
		<-begun
	}
	shut(t, l)
	wg.Wait()
	again := open(t, l.path)
	defer shut(t, again)
	if n := len(entries(t, again, "d")); n != acknowledged {
		t.Errorf("%d entries, %d acknowledged", n, acknowledged)
	}
	if _, err := l.Entries(context.Background(), "d"); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("entries of a closed log: %v", err)
	}
	if err := l.Verify(context.Background()); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("verify of a closed log: %v", err)
	}
}

// A context that is over stops what has not begun, and says why.
func TestContext(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	fill(t, l, 3)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, readErr := l.Entries(ctx, "disk1")
	for what, err := range map[string]error{
		"append": l.Append(ctx, entryOf("disk1", 9)), "entries": readErr, "verify": l.Verify(ctx),
	} {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, quarantine.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if seq, _ := l.Head(); seq != 3 {
		t.Errorf("head %d", seq)
	}
}

// Many goroutines append, read and verify at once; each disk's entries keep
// their order.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	const writers, each = 16, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			disk := fmt.Sprint("disk", w)
			for n := range each {
				if err := l.Append(context.Background(), entryOf(disk, n)); err != nil {
					t.Errorf("append: %v", err)
				}
				if es, err := l.Entries(context.Background(), disk); err != nil || len(es) != n+1 {
					t.Errorf("%d entries after %d, %v", len(es), n+1, err)
				}
			}
		})
	}
	stop := make(chan struct{})
	var checks sync.WaitGroup
	checks.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := l.Verify(context.Background()); err != nil {
					t.Errorf("verify meanwhile: %v", err)
				}
			}
		}
	})
	wg.Wait()
	close(stop)
	checks.Wait()
	for w := range writers {
		var want []quarantine.Entry
		for n := range each {
			want = append(want, entryOf(fmt.Sprint("disk", w), n))
		}
		same(t, entries(t, l, fmt.Sprint("disk", w)), want)
	}
	verify(t, l)
	if seq, _ := l.Head(); seq != writers*each {
		t.Errorf("head %d", seq)
	}
}

// Two disks whose ids meet in the index do not see each other's entries.
func TestIndexCollision(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	fill(t, l, 6)
	l.last[maphash.String(l.seed, "stranger")] = l.last[maphash.String(l.seed, "disk0")]
	if es := entries(t, l, "stranger"); len(es) != 0 {
		t.Errorf("the stranger has %v", es)
	}
	add(t, l, entryOf("stranger", 7))
	same(t, entries(t, l, "stranger"), []quarantine.Entry{entryOf("stranger", 7)})
	same(t, entries(t, l, "disk0"), []quarantine.Entry{entryOf("disk0", 0), entryOf("disk0", 3)})
}
