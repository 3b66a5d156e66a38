package opennebula

import (
	"context"
	"sync"
)

// event is one published message.
type event struct {
	topic string
	body  []byte
	// fault says why the message cannot be used; empty where it may be.
	fault string
}

// size is what the event takes, in bytes.
func (e event) size() int { return len(e.topic) + len(e.body) }

// eventQueue is the events that wait to be recorded, the oldest first. When
// there are too many the oldest is dropped: of what a VM goes through, the last
// messages tell most.
type eventQueue struct {
	maxEvents, maxBytes int
	wake                chan struct{} // holds a token when there may be an event

	mu     sync.Mutex
	events []event
	bytes  int
	// overflowing is from the first event that is dropped until the queue is
	// half empty; more counts those that were dropped after it began.
	overflowing bool
	more        int
}

func newEventQueue(maxEvents, maxBytes int) *eventQueue {
	return &eventQueue{maxEvents: maxEvents, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

func (q *eventQueue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.events)
}

// push adds an event. It returns how many gave way, and whether they are the
// first of an overflow.
func (q *eventQueue) push(e event) (dropped int, begins bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = append(q.events, e)
	q.bytes += e.size()
	for len(q.events) > q.maxEvents || q.bytes > q.maxBytes && len(q.events) > 1 {
		q.shift()
		dropped++
	}
	if dropped > 0 {
		if begins = !q.overflowing; begins {
			q.overflowing = true
		} else {
			q.more += dropped
		}
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return dropped, begins
}

// shift removes the oldest event.
func (q *eventQueue) shift() event {
	e := q.events[0]
	q.events[0] = event{} // the array keeps nothing of it
	q.events = q.events[1:]
	q.bytes -= e.size()
	return e
}

// pop waits for an event and takes it out; false if ctx ended first. Where that
// ends an overflow, more is how many events were dropped after it began.
func (q *eventQueue) pop(ctx context.Context) (e event, more int, ok bool) {
	for ctx.Err() == nil {
		if e, more, ok = q.take(); ok {
			return e, more, true
		}
		select {
		case <-ctx.Done():
		case <-q.wake:
		}
	}
	return event{}, 0, false
}

func (q *eventQueue) take() (e event, more int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) == 0 {
		return event{}, 0, false
	}
	e = q.shift()
	if q.overflowing && len(q.events) <= q.maxEvents/2 && q.bytes <= q.maxBytes/2 {
		more = q.more
		q.overflowing, q.more = false, 0
	}
	return e, more, true
}
