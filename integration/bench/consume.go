package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

// consumption is what a listener says of itself when it has taken all its
// messages.
type consumption struct {
	Seconds    float64 `json:"seconds"` // from the first message to the last
	CPUSeconds float64 `json:"cpu_seconds"`
	// Kept is how many messages reported a deletion.
	Kept     int   `json:"kept"`
	RSSBytes int64 `json:"rss_bytes"` // the most it ever was
}

// source is where a listener takes messages.
type source struct {
	url, exchange, queue string
	// count is how many; with 0 the queue is declared only.
	count int
}

// consume takes messages with the service's consumer, prints a consumption as
// JSON, and returns. The bench runs itself as a process of its own for it.
func consume(ctx context.Context, s source, now quarantine.Clock, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &taker{count: s.count, now: now, end: cancel}
	consumer, err := openstack.NewConsumer(openstack.ConsumerConfig{
		Cloud: cloudName, URLs: []string{s.url}, Exchanges: []string{s.exchange}, Queue: s.queue,
		Record: func(context.Context, []quarantine.Deletion) error { return nil },
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)), Clock: now, Observer: t,
	})
	if err != nil {
		return err
	}
	if err := consumer.Run(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	if s.count == 0 {
		return nil
	}
	if t.seen < s.count {
		return fmt.Errorf("the consumer ended after %d of %d messages: %w", t.seen, s.count, context.Cause(ctx))
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return fmt.Errorf("ask for the memory used: %w", err)
	}
	t.got.RSSBytes = u.Maxrss << 10
	return json.NewEncoder(stdout).Encode(t.got)
}

// taker counts what a consumer takes, and ends it.
type taker struct {
	count int
	now   quarantine.Clock
	end   func()

	mu    sync.Mutex
	seen  int
	first time.Time
	cpu   time.Duration
	got   consumption
	err   error
}

var errNotTaken = errors.New("the consumer could not record or read a recorded message")

// Received implements openstack.ConsumerObserver.
func (t *taker) Received(result string, _ time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == 0 {
		t.first = t.now()
		t.cpu, t.err = cpuTime()
	}
	t.seen++
	switch result {
	case "recorded":
		t.got.Kept++
	case "ignored":
	default:
		t.err = errNotTaken
	}
	if t.seen == t.count || t.err != nil {
		t.got.Seconds = t.now().Sub(t.first).Seconds()
		cpu, err := cpuTime()
		t.got.CPUSeconds = (cpu - t.cpu).Seconds()
		t.err = errors.Join(t.err, err)
		t.end()
	}
}

// Connected implements openstack.ConsumerObserver.
func (t *taker) Connected(up bool) {
	if up && t.count == 0 {
		t.end()
	}
}

// Backlog implements openstack.ConsumerObserver.
func (t *taker) Backlog(int) {}
