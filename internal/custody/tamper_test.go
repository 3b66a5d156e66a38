package custody

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// sample is the bytes of a good log of n lines.
func sample(t *testing.T, n int) []byte {
	t.Helper()
	l := newLog(t)
	fill(t, l, n)
	return read(t, l.path)
}

// faultOf opens a log of these bytes, and returns the fault that Verify finds,
// after checking that the log is treated as damaged everywhere.
func faultOf(t *testing.T, dir string, b []byte) *FaultError {
	t.Helper()
	path := filepath.Join(dir, "tampered.jsonl")
	write(t, path, b)
	l := open(t, path)
	defer shut(t, l)
	var fault *FaultError
	err := l.Verify(context.Background())
	if !errors.As(err, &fault) || !errors.Is(err, ErrDamaged) {
		return nil
	}
	if _, err := l.Entries(context.Background(), "disk0"); !errors.Is(err, ErrDamaged) {
		t.Errorf("entries of a damaged log: %v", err)
	}
	if err := l.Append(context.Background(), entryOf("disk0", 1)); !errors.Is(err, quarantine.ErrRefused) || !errors.Is(err, ErrDamaged) {
		t.Errorf("append to a damaged log: %v", err)
	}
	if !bytes.Equal(read(t, path), b) {
		t.Errorf("the damaged file was changed")
	}
	return fault
}

// Whichever byte is changed, the log is found damaged, at the line of that
// byte. The one exception is the last newline: without it the last line counts
// as torn, like lines cut off the end, which only a remembered head shows.
func TestAnyChangedByteIsFound(t *testing.T) {
	t.Parallel()
	good, dir := sample(t, 3), t.TempDir()
	for i := range len(good) - 1 {
		with := []byte{good[i] ^ 1, '\n', 0}[i%3]
		if good[i] == with {
			with = ' '
		}
		b := bytes.Clone(good)
		b[i] = with
		fault := faultOf(t, dir, b)
		line := bytes.Count(good[:i], []byte("\n"))
		// A newline that was changed joins its line with the next one.
		if fault == nil || fault.Seq != uint64(line+1) {
			t.Fatalf("byte %d of line %d changed from %q to %q: fault %v", i, line+1, good[i], with, fault)
		}
	}
}

// Lines taken out, put in, moved or taken from elsewhere are found where the
// chain breaks.
func TestChangedLinesAreFound(t *testing.T) {
	t.Parallel()
	good, dir := sample(t, 5), t.TempDir()
	lines := slices.Collect(bytes.Lines(good))
	other := newLog(t)
	fill(t, other, 3)
	add(t, other, entryOf("disk0", 99))
	foreign := slices.Collect(bytes.Lines(read(t, other.path)))[3]
	anew, _ := appendLine(nil, head{seq: 1, hash: hashOf(t, lines[0])}, noLine, []byte(`{"at":"2025-03-04T05:06:07Z","disk":"disk1","act":"nothing"}`))
	misnumbered, _ := appendLine(nil, head{seq: 8, hash: hashOf(t, lines[4])}, noLine, []byte(`{"act":"nothing"}`))
	for name, c := range map[string]struct {
		lines [][]byte
		line  uint64
	}{
		"misnumbered":      {append(slices.Clone(lines), misnumbered), 6},
		"first taken out":  {lines[1:], 1},
		"middle taken out": {slices.Concat(lines[:2], lines[3:]), 3},
		"swapped":          {[][]byte{lines[0], lines[2], lines[1], lines[3], lines[4]}, 2},
		"twice":            {slices.Insert(slices.Clone(lines), 3, lines[2]), 4},
		"empty line":       {slices.Insert(slices.Clone(lines), 2, []byte("\n")), 3},
		"not ours":         {append(slices.Clone(lines), []byte("{\"act\":\"purge\"}\n")), 6},
		"one line anew":    {slices.Concat(lines[:1], [][]byte{anew}, lines[2:]), 3},
		"a line too long":  {append(slices.Clone(lines), append(bytes.Repeat([]byte("x"), maxLine+5), '\n')), 6},
		"with CRLF":        {[][]byte{append(bytes.TrimSuffix(bytes.Clone(lines[0]), []byte("\n")), "\r\n"...)}, 1},
		"of another log":   {[][]byte{lines[0], foreign}, 2},
	} {
		fault := faultOf(t, dir, bytes.Join(c.lines, nil))
		if fault == nil || fault.Seq != c.line {
			t.Errorf("%s: want a fault in line %d, got %v", name, c.line, fault)
		}
	}
}

func hashOf(t *testing.T, raw []byte) string {
	t.Helper()
	l, err := decodeLine(bytes.TrimSuffix(raw, []byte("\n")))
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	return string(l.hash)
}

// What a damaged log still has of a disk is returned together with the fault;
// what was changed is not.
func TestDamagedLogShowsWhatIsWhole(t *testing.T) {
	t.Parallel()
	good := sample(t, 9)
	path := filepath.Join(t.TempDir(), "custody.jsonl")
	write(t, path, bytes.Replace(good, []byte("reason 3"), []byte("reason X"), 1))
	l := open(t, path)
	defer shut(t, l)
	es, err := l.Entries(context.Background(), "disk0")
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("entries: %v", err)
	}
	same(t, es, []quarantine.Entry{entryOf("disk0", 0), entryOf("disk0", 6)})
	if seq, _ := l.Head(); seq != 3 {
		t.Errorf("head of the part before the damage: %d", seq)
	}
}

// change rewrites the file in place, as someone would while the service runs.
func change(t *testing.T, path string, to []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	_, werr := f.WriteAt(to, 0)
	if err := errors.Join(werr, f.Truncate(int64(len(to))), f.Close()); err != nil {
		t.Fatalf("change: %v", err)
	}
}

// What is changed while the log is open is found by each that reads it, and
// nothing is added from then on.
func TestChangedWhileOpen(t *testing.T) {
	t.Parallel()
	lastLine := func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }
	entriesOf := func(l *Log) error { _, err := l.Entries(context.Background(), "disk0"); return err }
	verifyIt := func(l *Log) error { return l.Verify(context.Background()) }
	appendIt := func(l *Log) error { return l.Append(context.Background(), entryOf("disk0", 9)) }
	for name, c := range map[string]struct {
		change func(t *testing.T, b []byte) []byte
		find   func(l *Log) error
	}{
		"byte, by Entries": {func(_ *testing.T, b []byte) []byte {
			return bytes.Replace(b, []byte("reason 3"), []byte("reason X"), 1)
		}, entriesOf},
		"byte of the line after, by Entries": {func(_ *testing.T, b []byte) []byte {
			return bytes.Replace(b, []byte("reason 4"), []byte("reason X"), 1)
		}, entriesOf},
		"byte, by Verify": {func(_ *testing.T, b []byte) []byte {
			return bytes.Replace(b, []byte("reason 4"), []byte("reason X"), 1)
		}, verifyIt},
		"cut at a line, by Entries":            {func(_ *testing.T, b []byte) []byte { return lastLine(b) }, entriesOf},
		"cut at a line, by Verify":             {func(_ *testing.T, b []byte) []byte { return lastLine(b) }, verifyIt},
		"cut at a line, by Append":             {func(_ *testing.T, b []byte) []byte { return lastLine(b) }, appendIt},
		"cut in a line, by Verify":             {func(_ *testing.T, b []byte) []byte { return b[:len(b)-3] }, verifyIt},
		"emptied, by Entries":                  {func(*testing.T, []byte) []byte { return nil }, entriesOf},
		"line added, by Append":                {func(_ *testing.T, b []byte) []byte { return append(b, "{}\n"...) }, appendIt},
		"line added, by Verify":                {func(_ *testing.T, b []byte) []byte { return append(b, "{}\n"...) }, verifyIt},
		"one line anew, by Entries":            {func(t *testing.T, b []byte) []byte { return rewriteLine(t, b, 3) }, entriesOf},
		"the line before anew, by Entries":     {func(t *testing.T, b []byte) []byte { return rewriteLine(t, b, 2) }, entriesOf},
		"all rewritten to a chain, by Verify":  {rewritten, verifyIt},
		"all rewritten to a chain, by Entries": {rewritten, entriesOf},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLog(t)
			fill(t, l, 7) // the last one is disk0's
			b := read(t, l.path)
			change(t, l.path, c.change(t, bytes.Clone(b)))
			if err := c.find(l); !errors.Is(err, ErrDamaged) {
				t.Errorf("found %v", err)
			}
			size := len(read(t, l.path))
			if err := l.Append(context.Background(), entryOf("d", 1)); !errors.Is(err, quarantine.ErrRefused) {
				t.Errorf("append afterwards: %v", err)
			}
			if n := len(read(t, l.path)); n != size {
				t.Errorf("the file's size went from %d to %d", size, n)
			}
		})
	}
}

// rewriteLine makes one line say something else, with a hash that fits it.
func rewriteLine(t *testing.T, b []byte, n int) []byte {
	t.Helper()
	lines := slices.Collect(bytes.Lines(b))
	l, err := decodeLine(bytes.TrimSuffix(lines[n], []byte("\n")))
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	lines[n], _ = appendLine(nil, head{seq: l.seq - 1, hash: string(l.prev)}, l.back, bytes.Replace(l.entry, []byte(`"ann"`), []byte(`"bob"`), 1))
	return bytes.Join(lines, nil)
}

// rewritten is a whole and well-formed log of the same size that says
// something else, as only one who can write the file makes it.
func rewritten(t *testing.T, b []byte) []byte {
	t.Helper()
	var out []byte
	h := genesis
	for raw := range bytes.Lines(b) {
		l, err := decodeLine(bytes.TrimSuffix(raw, []byte("\n")))
		if err != nil {
			t.Fatalf("decode: %v", err)
		}
		out, h = appendLine(out, h, l.back, bytes.Replace(l.entry, []byte(`"ann"`), []byte(`"bob"`), 1))
	}
	return out
}

// A file that is moved away (by a log rotation, say) takes no more entries:
// nobody would look for them there.
func TestMovedAway(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	fill(t, l, 2)
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		t.Fatal(err)
	}
	err := l.Append(context.Background(), entryOf("d", 1))
	if !errors.Is(err, quarantine.ErrRefused) || !strings.Contains(err.Error(), "moved away") {
		t.Errorf("append: %v", err)
	}
	write(t, l.path, nil)
	if err := l.Verify(context.Background()); !errors.Is(err, ErrDamaged) {
		t.Errorf("verify: %v", err)
	}
}

// Another file in its place takes no entries either, although it is as long.
func TestReplaced(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	fill(t, l, 2)
	b := read(t, l.path)
	write(t, l.path+".new", b)
	if err := os.Rename(l.path+".new", l.path); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(context.Background(), entryOf("d", 1)); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("append: %v", err)
	}
}

// A whole rewriting verifies, as doc.go admits, once no process remembers the
// old head; the head that was copied away shows it.
func TestRewritingShowsOnlyAgainstARememberedHead(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	fill(t, l, 7)
	seq, hash := l.Head()
	path := filepath.Join(t.TempDir(), "custody.jsonl")
	write(t, path, rewritten(t, read(t, l.path)))
	r := open(t, path)
	defer shut(t, r)
	verify(t, r)
	if s, h := r.Head(); s != seq || h == hash {
		t.Errorf("head %d %s, was %d %s", s, h, seq, hash)
	}
}
