package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// terminal is a writer that tells when something that was waited for is there.
type terminal struct {
	mu   sync.Mutex
	out  bytes.Buffer
	want string
	seen chan struct{}
}

func (w *terminal) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.out.Write(b)
	if w.want != "" && strings.Contains(w.out.String(), w.want) {
		w.want = ""
		close(w.seen)
	}
	return n, err
}

// On a terminal a bar shows what is done of what; it goes away at the end, and
// may be ended twice.
func TestProgressOnTerminal(t *testing.T) {
	t.Parallel()
	w := &terminal{want: "flatten 2.0 KiB / 8.0 KiB", seen: make(chan struct{})}
	a := &app{stderr: w, screen: screen{stderr: true}}
	bar := a.newProgress("flatten", true)
	bar.at(2<<10, 8<<10)
	select {
	case <-w.seen:
	case <-time.After(30 * time.Second):
		t.Errorf("no bar: %q", w.out.String())
	}
	bar.end()
	bar.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.Contains(w.out.String(), "25%") {
		t.Errorf("no percentage: %q", w.out.String())
	}
}

// Where standard error is not a terminal nothing is written to it, and where
// nothing was done no bar appears.
func TestNoProgress(t *testing.T) {
	t.Parallel()
	for name, terminal := range map[string]bool{"a file": false, "a terminal": true} {
		var out bytes.Buffer
		a := &app{stderr: &out, screen: screen{stderr: terminal}}
		bar := a.newProgress("flatten", true)
		if !terminal {
			bar.at(1, 2)
		}
		bar.end()
		if out.Len() > 0 {
			t.Errorf("%s got %q", name, out.String())
		}
	}
}
