package openstack

import (
	"context"
	"errors"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"quarantine/internal/quarantine"
)

// Between attempts to record there is a pause, which doubles.
const (
	retryMin = 200 * time.Millisecond
	retryMax = 30 * time.Second
)

// maxRecords is how many messages are recorded at once.
const maxRecords = 64

// ackDelay is how long an acknowledgement may wait for others, to be one write
// with them.
const ackDelay = 20 * time.Millisecond

// verdict is what is to become of a message.
type verdict int

const (
	acknowledge verdict = iota // its Deletions are recorded
	reject                     // they never will be: to the dead-letter queue
	leave                      // the broker delivers it again on the next connection
)

type judged struct {
	tag uint64
	verdict
}

// take works on the deliveries until there are no more, and answers the broker.
// All answers are given here, and most messages are looked at here: only those
// that may report a deletion go to a worker. Those that wait for one are no
// more than Prefetch, because the broker sends no more.
//
// An acknowledgement that fails, because the connection is gone, comes to the
// same as none: the next delivery changes nothing.
func (c *Consumer) take(work, records context.Context, ch *amqp.Channel, deliveries <-chan amqp.Delivery) {
	w := newWindow(ch, c.cfg.Prefetch)
	jobs, results := make(chan amqp.Delivery), make(chan judged)
	var workers sync.WaitGroup
	for range min(c.cfg.Prefetch, maxRecords) {
		workers.Go(func() {
			for d := range jobs {
				results <- judged{d.DeliveryTag, c.judge(work, records, d)}
			}
		})
	}
	late := time.NewTimer(ackDelay)
	late.Stop()
	defer late.Stop()
	var todo []amqp.Delivery
	for waiting, working := false, 0; deliveries != nil || len(todo) > 0 || working > 0; {
		var next amqp.Delivery
		var idle chan<- amqp.Delivery // nil, and so never ready, while there is nothing to do
		if len(todo) > 0 {
			next, idle = todo[0], jobs
		}
		select {
		case d, ok := <-deliveries:
			switch {
			case !ok:
				deliveries = nil
			case work.Err() != nil: // it is left to the next connection
			default:
				w.begin(d.DeliveryTag)
				if ignorable(d.Body) {
					c.received(resultIgnored, 0)
					w.finish(d.DeliveryTag)
				} else {
					todo = append(todo, d)
				}
			}
		case idle <- next:
			todo = todo[1:]
			working++
		case r := <-results:
			working--
			switch r.verdict {
			case acknowledge:
				w.finish(r.tag)
			case reject:
				w.reject(r.tag)
			}
		case <-late.C:
			waiting = false
			w.flush()
		}
		if work.Err() != nil {
			todo = nil // they are left, too
		}
		if w.ready > 0 && !waiting {
			waiting = true
			late.Reset(ackDelay)
		}
	}
	w.flush()
	close(jobs)
	workers.Wait()
}

// judge works on one message that may report deletions.
func (c *Consumer) judge(work, records context.Context, d amqp.Delivery) verdict {
	ds, err := decodeWhole(c.cfg.Cloud, d.Body)
	if err == nil && len(ds) == 0 {
		c.received(resultIgnored, 0)
		return acknowledge
	}
	if err == nil {
		err = c.record(work, records, ds)
	}
	switch {
	case err == nil:
		c.received(resultRecorded, c.lag(ds))
		return acknowledge
	case errors.Is(err, quarantine.ErrInvalid):
		c.cfg.Log.Warn("a notification cannot be used; it goes to the dead-letter queue", "queue", c.deadName(),
			"exchange", d.Exchange, "routing_key", d.RoutingKey, "bytes", len(d.Body), "error", err)
		c.received(resultInvalid, 0)
		return reject
	}
	return leave
}

// record calls Record until it succeeds, or says that it never will, or work
// ends. The message is held meanwhile and not given back to the broker: that
// would deliver it at once again, and count towards a quorum queue's delivery
// limit. While Record fails, the other messages in work wait in line, so that
// one at a time finds out whether it works again.
func (c *Consumer) record(work, records context.Context, ds []quarantine.Deletion) error {
	err := c.cfg.Record(records, ds)
	for !final(err) {
		c.received(resultFailed, 0)
		if !c.retry.turn(work) {
			return err
		}
		if err = c.cfg.Record(records, ds); final(err) {
			c.retry.end(0)
			return err
		}
		pause := longer(c.retry.pause, retryMin, retryMax)
		c.cfg.Log.Error("record a deletion: it is tried again", "deletion", ds[0].ID, "vm", ds[0].ResourceID, "error", err, "retry_in", pause)
		c.retry.end(pause)
	}
	return err
}

// final reports whether another attempt would change nothing.
func final(err error) bool { return err == nil || errors.Is(err, quarantine.ErrInvalid) }

// lag is the time from the event to now.
func (c *Consumer) lag(ds []quarantine.Deletion) time.Duration {
	at := ds[0].StartedAt
	if at.IsZero() {
		at = ds[0].EndedAt
	}
	if at.IsZero() {
		return 0
	}
	return max(0, c.cfg.Clock().Sub(at))
}

// retry lets one message at a time try again, after the pause that the last
// attempt left.
type retry struct {
	turns chan struct{}
	pause time.Duration // belongs to who has the turn
}

func newRetry() retry {
	r := retry{turns: make(chan struct{}, 1)}
	r.turns <- struct{}{}
	return r
}

// turn waits for the turn and the pause. It reports false, without the turn,
// when ctx ended first.
func (r *retry) turn(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-r.turns:
	}
	if !sleep(ctx, r.pause) {
		r.turns <- struct{}{}
		return false
	}
	return true
}

// end gives the turn on.
func (r *retry) end(pause time.Duration) {
	r.pause = pause
	r.turns <- struct{}{}
}
