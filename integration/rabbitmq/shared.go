package rabbitlab

import (
	"context"
	"sync"
	"testing"
	"time"
)

// StartTimeout is long enough for a broker's start on a machine that is busy
// with other tests.
const StartTimeout = 4 * time.Minute

// shared is the lab of a test process.
var shared struct {
	sync.Mutex
	lab *Lab
}

// Shared returns a lab that is started once per test process and ends with it.
// Tests must not stop it: they use exchanges and queues of their own and may
// then run in parallel.
func Shared(t testing.TB) *Lab {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.lab == nil {
		// Not t.Context(): the lab outlives the test that starts it. Its
		// watchdog ends it with the process.
		ctx, cancel := context.WithTimeout(context.Background(), StartTimeout)
		defer cancel()
		lab, err := Start(ctx, Options{})
		if err != nil {
			t.Fatal(err)
		}
		shared.lab = lab
	}
	return shared.lab
}

// New starts a lab that ends with the test.
func New(t testing.TB, o Options) *Lab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), StartTimeout)
	defer cancel()
	lab, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the broker said:\n%s", lab.tail())
		}
		if err := lab.Stop(); err != nil {
			t.Error(err)
		}
	})
	return lab
}
