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
// When work ends, what no worker has begun is left to the next connection. An
// acknowledgement that fails, because the connection is gone, comes to the
// same: the next delivery changes nothing.
func (c *Consumer) take(work, records context.Context, ch *amqp.Channel, deliveries <-chan amqp.Delivery) {
	in := c.newIntake(ch)
	defer in.late.Stop()
	var workers sync.WaitGroup
	for range min(c.cfg.Prefetch, maxRecords) {
		workers.Go(func() {
			decoder := decoder{cloud: c.cfg.Cloud}
			for d := range in.jobs {
				ds, err := decoder.decode(d.Body, d.envelope)
				in.results <- judged{d.DeliveryTag, c.judge(work, records, d.Delivery, ds, err)}
			}
		})
	}
	for deliveries != nil || !in.done() {
		worker, next := in.offer()
		select {
		case d, ok := <-deliveries:
			if !ok {
				deliveries = nil
			} else if work.Err() == nil {
				in.accept(d)
			}
		case worker <- next:
			in.handed()
		case r := <-in.results:
			in.settle(r)
		case <-in.late.C:
			in.flush()
		}
		if work.Err() != nil {
			in.todo = nil
		}
	}
	in.window.flush()
	close(in.jobs)
	workers.Wait()
}

// opened is a delivery that may report deletions.
type opened struct {
	amqp.Delivery
	envelope envelope
}

// intake is the deliveries of one channel on their way: what waits for a worker
// (todo), what is with one (working), and what the broker waits to hear of.
type intake struct {
	consumer *Consumer
	window   *window
	jobs     chan opened // to the workers
	results  chan judged // from them
	todo     []opened
	working  int
	late     *time.Timer // ends the wait of the acknowledgements that are ready
	waiting  bool        // late runs
}

func (c *Consumer) newIntake(ch channel) *intake {
	in := &intake{
		consumer: c, window: newWindow(ch, c.cfg.Prefetch),
		jobs: make(chan opened), results: make(chan judged), late: time.NewTimer(ackDelay),
	}
	in.late.Stop()
	return in
}

// done reports whether nothing is on its way.
func (in *intake) done() bool { return len(in.todo) == 0 && in.working == 0 }

// offer returns the delivery that is next for a worker, and where one takes it:
// nowhere (nil) if there is none.
func (in *intake) offer() (chan<- opened, opened) {
	if len(in.todo) == 0 {
		return nil, opened{}
	}
	return in.jobs, in.todo[0]
}

// handed notes that a worker has what was offered.
func (in *intake) handed() {
	in.todo = in.todo[1:]
	in.working++
}

// accept takes a delivery in.
func (in *intake) accept(d amqp.Delivery) {
	in.window.begin(d.DeliveryTag)
	p := peek(d.Body)
	if p.server {
		in.consumer.heardOfServer()
	}
	if !p.ignorable {
		in.todo = append(in.todo, opened{d, p.envelope})
		return
	}
	in.consumer.received(resultIgnored, 0)
	in.finish(d.DeliveryTag)
}

// settle takes what a worker found.
func (in *intake) settle(r judged) {
	in.working--
	switch r.verdict {
	case acknowledge:
		in.finish(r.tag)
	case reject:
		in.window.reject(r.tag)
	}
}

// finish has a message acknowledged, after ackDelay at the latest.
func (in *intake) finish(tag uint64) {
	in.window.finish(tag)
	if in.window.ready > 0 && !in.waiting {
		in.waiting = true
		in.late.Reset(ackDelay)
	}
}

// flush sends the acknowledgements that have waited for ackDelay.
func (in *intake) flush() {
	in.waiting = false
	in.window.flush()
}

// judge works on one message that may report deletions: ds, unless err says that
// it cannot be read.
func (c *Consumer) judge(work, records context.Context, d amqp.Delivery, ds []quarantine.Deletion, err error) verdict {
	if err == nil && len(ds) == 0 {
		c.received(resultIgnored, 0)
		return acknowledge
	}
	if err == nil {
		if ds[0].ResourceKind == quarantine.ResourceVM { // it may be of a form that tells nothing at a glance
			c.heardOfServer()
		}
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
