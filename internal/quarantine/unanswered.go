package quarantine

import (
	"fmt"
	"sync"
	"time"
)

const (
	// What a cloud could not tell of is asked again after firstPause, then after
	// twice as long, up to longestPause.
	firstPause   = time.Minute
	longestPause = 10 * time.Minute
	// outage is how many failures in a row mean that it is the cloud that does not
	// answer, and not one of its servers: it is left alone then.
	outage = 3
	// maxPutOff bounds what is remembered; about 200 bytes each.
	maxPutOff = 100_000
)

// unanswered remembers what a cloud could not tell of (a server whose cell is
// down, a record that its API fails over), so that the rest need not wait until
// it can. It may be used by many goroutines.
type unanswered struct {
	clock Clock

	mu   sync.Mutex
	byID map[string]putOff
}

type putOff struct {
	until time.Time
	pause time.Duration
}

func newUnanswered(clock Clock) *unanswered {
	return &unanswered{clock: clock, byID: map[string]putOff{}}
}

// due reports whether it may be asked about now.
func (u *unanswered) due(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.clock().Before(u.byID[id].until)
}

// put remembers how asking ended.
func (u *unanswered) put(id string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		delete(u.byID, id)
		return
	}
	if len(u.byID) >= maxPutOff {
		clear(u.byID)
	}
	pause := min(max(firstPause, 2*u.byID[id].pause), longestPause)
	u.byID[id] = putOff{u.clock().Add(pause), pause}
}

// round is one time that a cloud is asked about many things.
type round struct {
	unanswered *unanswered
	inARow     int
	failed     int
	first      error
}

func (q *Inquirer) round() *round { return &round{unanswered: q.unanswered} }

// try asks about one thing, or leaves it out where its time has not come again.
// It reports whether the cloud still counts as up.
func (r *round) try(id string, ask func() error) bool {
	if !r.unanswered.due(id) {
		return true
	}
	err := ask()
	r.unanswered.put(id, err)
	if err == nil {
		r.inARow = 0
		return true
	}
	if r.first == nil {
		r.first = err
	}
	r.failed++
	r.inARow++
	return r.inARow < outage
}

// err tells what failed.
func (r *round) err() error {
	if r.failed > 1 {
		return fmt.Errorf("%d could not be asked about; the first: %w", r.failed, r.first)
	}
	return r.first
}
