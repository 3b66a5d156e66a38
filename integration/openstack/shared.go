package openstacklab

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
)

// Variable names the environment variable with the directory of a running lab.
const Variable = "QUARANTINE_OPENSTACK_LAB"

// StartTimeout is long enough for a lab's start on a machine that is busy with
// other tests.
const StartTimeout = 15 * time.Minute

// shared is the lab of a test process.
var shared struct {
	sync.Mutex
	lab *Lab
}

// Shared returns the lab that QUARANTINE_OPENSTACK_LAB names or, without it,
// one that is started once per test process, on cephlab.Shared, and ends with
// it. Who stops services or changes settings sets them right again, and does
// not run beside other tests.
//
// Nothing is skipped: a machine without OpenStack fails the test.
func Shared(t testing.TB) *Lab {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.lab != nil {
		return shared.lab
	}
	var err error
	if dir := os.Getenv(Variable); dir != "" {
		shared.lab, err = Open(dir)
	} else {
		// Not t.Context(): the lab outlives the test that starts it. Its
		// supervisor ends it with the process.
		ctx, cancel := context.WithTimeout(context.Background(), StartTimeout)
		defer cancel()
		shared.lab, err = Start(ctx, Options{Ceph: cephlab.Shared(t)})
	}
	if err != nil {
		t.Fatal(err)
	}
	return shared.lab
}
