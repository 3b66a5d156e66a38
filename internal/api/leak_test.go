package api_test

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// noGoroutine waits until no goroutine is in a function of that name, of any
// test; the others end theirs too.
func noGoroutine(t *testing.T, function string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		buf := make([]byte, 4<<20)
		all := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(all, function) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("a goroutine stays in %s:\n%s", function, all)
		default:
			runtime.Gosched()
		}
	}
}
