package openstack

import (
	"context"
	"errors"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"quarantine/internal/quarantine"
)

// Between attempts to record there is a pause, which doubles.
const (
	retryMin = 200 * time.Millisecond
	retryMax = 30 * time.Second
)

// handle works on one message. It is acknowledged when its Deletions are
// recorded, rejected when it never will be, and otherwise left alone: the
// broker delivers it again on the next connection. An acknowledgement that
// fails, because the connection is gone, comes to the same, and the next
// delivery changes nothing.
func (c *Consumer) handle(work, records context.Context, d amqp.Delivery) {
	ds, err := Decode(c.cfg.Cloud, d.Body)
	if err == nil && len(ds) == 0 {
		_ = d.Ack(false)
		c.received(resultIgnored, 0)
		return
	}
	if err == nil {
		err = c.record(work, records, ds)
	}
	switch {
	case err == nil:
		_ = d.Ack(false)
		c.received(resultRecorded, c.lag(ds))
	case errors.Is(err, quarantine.ErrInvalid):
		c.cfg.Log.Warn("a notification cannot be used; it goes to the dead-letter queue", "queue", c.deadName(),
			"exchange", d.Exchange, "routing_key", d.RoutingKey, "bytes", len(d.Body), "error", err)
		_ = d.Reject(false)
		c.received(resultInvalid, 0)
	}
}

// record calls Record until it succeeds, or says that it never will, or work
// ends. The message is held meanwhile and not given back to the broker: that
// would deliver it at once again, and count towards a quorum queue's delivery
// limit. While Record fails, the other messages in work wait in line, so that
// one at a time finds out whether it works again.
func (c *Consumer) record(work, records context.Context, ds []quarantine.Deletion) error {
	err := c.cfg.Record(records, ds)
	for !done(err) {
		c.received(resultFailed, 0)
		if !c.retry.turn(work) {
			return err
		}
		if err = c.cfg.Record(records, ds); done(err) {
			c.retry.end(0)
			return err
		}
		pause := longer(c.retry.pause, retryMin, retryMax)
		c.cfg.Log.Error("record a deletion: it is tried again", "deletion", ds[0].ID, "vm", ds[0].ResourceID, "error", err, "retry_in", pause)
		c.retry.end(pause)
	}
	return err
}

// done reports whether another attempt would change nothing.
func done(err error) bool { return err == nil || errors.Is(err, quarantine.ErrInvalid) }

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
