package api

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// stepsType is the media type of a stream of steps: a JSON value a line.
const stepsType = "application/x-ndjson"

// stepInterval is how often progress is told at most.
const stepInterval = 250 * time.Millisecond

// steps streams the progress of a restore. progress may be called by any
// goroutine and never waits for the client, because Ceph's work would wait with
// it: a goroutine writes, and what it has no time for is replaced by what is
// newer.
type steps struct {
	x     *exchange
	clock quarantine.Clock

	mu    sync.Mutex
	last  time.Time      // when progress was taken last
	next  chan wire.Step // what is to be written; nil until the first
	done  chan struct{}  // closed when the writing goroutine has returned
	ended bool
}

func newSteps(x *exchange, clock quarantine.Clock) *steps { return &steps{x: x, clock: clock} }

// progress tells how much is done.
func (s *steps) progress(done, total uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	if s.ended || s.next != nil && done < total && now.Sub(s.last) < stepInterval {
		return
	}
	s.last = now
	if s.next == nil {
		s.next, s.done = make(chan wire.Step, 1), make(chan struct{})
		go s.write()
	}
	select {
	case <-s.next: // not written yet, and old now
	default:
	}
	s.next <- wire.Step{Done: done, Total: total} // there is room: only this function sends, one at a time
}

func (s *steps) write() {
	defer close(s.done)
	for step := range s.next {
		s.send(step)
	}
}

// send writes one line. A client that has gone is noticed through the
// request's context.
func (s *steps) send(step wire.Step) {
	s.x.Header().Set("Content-Type", stepsType)
	s.x.WriteHeader(http.StatusOK)
	_ = json.NewEncoder(s.x).Encode(step)
	_ = http.NewResponseController(s.x).Flush()
}

// end writes the last line: the disk, or why it was not restored. An error is
// an answer of its own if nothing was written before.
func (s *steps) end(d quarantine.Disk, err error) {
	if begun := s.stop(); err != nil && !begun {
		s.x.refuse(problemOf(err))
		return
	}
	if err != nil {
		p := problemOf(err)
		s.x.fail(p)
		s.send(wire.Step{Error: p})
		return
	}
	w := wire.FromDisk(d)
	s.send(wire.Step{Disk: &w})
}

// stop waits for the writing goroutine and reports whether there was one. It
// may be called again.
func (s *steps) stop() (begun bool) {
	s.mu.Lock()
	next, done := s.next, s.done
	if next != nil && !s.ended {
		close(next) // under the lock: progress sends under it
	}
	s.ended = true
	s.mu.Unlock()
	if next == nil {
		return false
	}
	<-done
	return true
}
