package opennebula

import (
	"context"
	"errors"
	"time"

	"quarantine/internal/quarantine"
)

// Between attempts to record there is a pause, which doubles.
const (
	retryMin = 200 * time.Millisecond
	retryMax = 30 * time.Second
)

// enqueue takes an event in.
func (b *Bus) enqueue(e event) {
	dropped, begins := b.queue.push(e)
	for range dropped {
		b.received(resultDropped, 0)
	}
	if begins {
		b.cfg.Log.Error("too many events wait to be recorded; the oldest are dropped, and the API must tell of them",
			"endpoint", b.cfg.Endpoint, "messages", b.queue.len())
		b.cfg.Missed()
	}
	b.backlog()
}

// work records what was taken in, one event at a time and in order, until ctx
// ends. It returns how many it had in hand then.
func (b *Bus) work(ctx context.Context) (inHand int) {
	for {
		e, more, ok := b.queue.pop(ctx)
		if !ok {
			return 0
		}
		b.backlog()
		if more > 0 {
			// Whoever looked when the first was dropped could not know of these.
			b.cfg.Log.Info("events are recorded again; more were dropped meanwhile", "endpoint", b.cfg.Endpoint, "messages", more)
			b.cfg.Missed()
		}
		if !b.take(ctx, e) {
			return 1
		}
	}
}

// take records what the event reports; false if ctx ended first.
func (b *Bus) take(ctx context.Context, e event) bool {
	ds, err := b.decode(e)
	if err == nil && len(ds) == 0 {
		b.received(resultIgnored, 0)
		return true
	}
	if err == nil {
		err = b.record(ctx, ds)
	}
	switch {
	case err == nil:
		b.received(resultRecorded, b.lag(ds[0]))
	case errors.Is(err, quarantine.ErrInvalid):
		b.cfg.Log.Warn("an event cannot be used; the API must tell of it", "endpoint", b.cfg.Endpoint,
			"topic", cut(e.topic, 100), "bytes", len(e.body), "error", err)
		b.received(resultInvalid, 0)
		b.cfg.Missed()
	default:
		return false
	}
	return true
}

func (b *Bus) decode(e event) ([]quarantine.Deletion, error) {
	if e.fault != "" {
		return nil, invalidf("%s", e.fault)
	}
	return Decode(b.cfg.Cloud, e.body)
}

// record calls Record until it succeeds, or says that it never will, or ctx
// ends.
func (b *Bus) record(ctx context.Context, ds []quarantine.Deletion) error {
	retry := backoff{least: retryMin, most: retryMax}
	for {
		err := b.cfg.Record(ctx, ds)
		if err == nil || errors.Is(err, quarantine.ErrInvalid) || ctx.Err() != nil {
			return err
		}
		b.received(resultFailed, 0)
		b.cfg.Log.Error("record a deletion: it is tried again", "deletion", ds[0].ID, "resource", ds[0].ResourceID, "error", err, "retry_in", retry.next())
		if !retry.wait(ctx) {
			return err
		}
	}
}

// lag is the time from the event to now.
func (b *Bus) lag(d quarantine.Deletion) time.Duration {
	at := d.EndedAt // of a terminated VM the start is seconds before its last message
	if at.IsZero() {
		at = d.StartedAt
	}
	if at.IsZero() {
		return 0
	}
	return max(0, b.cfg.Clock().Sub(at))
}
