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

// steps streams the progress of a restore. progress and tell may be called by
// any goroutine and never wait for the client, because Ceph's work would wait
// with it: a goroutine writes, and of the progress of a stage that it has no
// time for the newest replaces the others.
type steps struct {
	x     *exchange
	clock quarantine.Clock

	mu      sync.Mutex
	last    time.Time   // when progress was taken last
	stage   wire.Step   // of what
	pending []wire.Step // what is to be written
	wake    chan struct{}
	done    chan struct{} // closed when the writing goroutine has returned; nil until the first step
	ended   bool
}

func newSteps(x *exchange, clock quarantine.Clock) *steps {
	return &steps{x: x, clock: clock, wake: make(chan struct{}, 1)}
}

// progress tells how much is done.
func (s *steps) progress(done, total uint64) { s.tell(wire.Step{Done: done, Total: total}) }

// tell tells a step. Only progress may be left out for what is newer.
func (s *steps) tell(step wire.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	stage := wire.Step{Stage: step.Stage, DiskID: step.DiskID}
	same := s.done != nil && s.stage == stage && measures(step)
	if s.ended || same && step.Done < step.Total && now.Sub(s.last) < stepInterval {
		return
	}
	s.last, s.stage = now, stage
	if s.done == nil {
		s.done = make(chan struct{})
		go s.write()
	}
	if n := len(s.pending); same && n > 0 && measures(s.pending[n-1]) {
		s.pending[n-1] = step // not written yet, and old now
	} else {
		s.pending = append(s.pending, step)
	}
	s.signal()
}

// measures reports whether the step tells no more than how much is done.
func measures(s wire.Step) bool { return s.Total > 0 && s.Made == nil && s.Restore == "" }

func (s *steps) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (s *steps) write() {
	defer close(s.done)
	for range s.wake {
		s.mu.Lock()
		steps, ended := s.pending, s.ended
		s.pending = nil
		s.mu.Unlock()
		for _, step := range steps {
			s.send(step)
		}
		if ended {
			return
		}
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

// end writes the last line: the disk, or why it was not restored.
func (s *steps) end(d quarantine.Disk, err error) {
	w := wire.FromDisk(d)
	s.finish(wire.Step{Disk: &w}, err)
}

// finish writes the last line. An error is an answer of its own if nothing was
// written before; else it takes the place of the disk.
func (s *steps) finish(last wire.Step, err error) {
	if begun := s.stop(); err != nil && !begun {
		s.x.refuse(problemOf(err))
		return
	}
	if err != nil {
		last.Disk, last.Error = nil, problemOf(err)
		s.x.fail(last.Error)
	}
	s.send(last)
}

// stop waits for the writing goroutine and reports whether there was one. It
// may be called again.
func (s *steps) stop() (begun bool) {
	s.mu.Lock()
	s.ended = true
	done := s.done
	s.mu.Unlock()
	if done == nil {
		return false
	}
	s.signal()
	<-done
	return true
}
