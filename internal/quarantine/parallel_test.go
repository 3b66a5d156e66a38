package quarantine

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// A panic of one worker is the caller's, who may recover from it; none is begun after it.
func TestPanicInParallelIsTheCallers(t *testing.T) {
	var ended atomic.Int32
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "number 2") || !strings.Contains(text, "parallel_test.go") || ended.Load() != 2 {
			t.Errorf("%d ended; %s", ended.Load(), text)
		}
	}()
	_ = inParallel(context.Background(), 1, 5, func(i int) {
		if i == 2 {
			panic("number 2")
		}
		ended.Add(1)
	})
	t.Error("no panic")
}
