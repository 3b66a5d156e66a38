package cephlab

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"
)

// Env names the environment variable with the directory of a running lab.
const Env = "QUARANTINE_LAB"

// testCommitInterval is that of labs that tests start: sealing a disk waits
// for one.
const testCommitInterval = 50 * time.Millisecond

// shared is the lab of a test process. It is per process because a lab takes
// seconds to start; the test that asks first pays.
var shared struct {
	sync.Mutex
	lab *Lab
}

// Shared returns the lab that QUARANTINE_LAB names or, without it, one that
// is started once per test process and ends with it. Tests must not stop it,
// pause its daemons or change its default pools: they make pools of their own
// with NewPool and may then run in parallel.
//
// Nothing is skipped: a machine without Ceph fails the test.
func Shared(t testing.TB) *Lab {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.lab != nil {
		return shared.lab
	}
	var err error
	if dir := os.Getenv(Env); dir != "" {
		shared.lab, err = Open(dir)
	} else {
		// Not t.Context(): the lab outlives the test that starts it. Its
		// watchdog ends it with the process.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		shared.lab, err = Start(ctx, Options{CommitInterval: testCommitInterval})
	}
	if err != nil {
		t.Fatal(err)
	}
	return shared.lab
}
