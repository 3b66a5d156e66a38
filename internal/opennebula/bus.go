package opennebula

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"quarantine/internal/quarantine"
)

// BusConfig says where a front-end's hook manager publishes, and who takes it.
type BusConfig struct {
	// Cloud is the configured name of the cloud.
	Cloud string
	// Endpoint is the hook manager's, tcp://host:port; default
	// tcp://127.0.0.1:2101. It encrypts nothing and asks nobody who they are:
	// to another host it takes a tunnel.
	Endpoint string
	// Heartbeat is how often a publisher that says nothing is asked for a sign
	// of life. One that gave such signs, and gives none until the next is due,
	// counts as gone. Default 10 s.
	Heartbeat time.Duration
	// Queue is how many messages may wait to be recorded, all together no more
	// than 256 MiB; default 10,000. A message has about 14 kB.
	Queue int
	// Record commits Deletions. After an error that wraps
	// quarantine.ErrInvalid the message is given up; after any other it is
	// called again with the same Deletions, and the other messages wait.
	Record func(ctx context.Context, ds []quarantine.Deletion) error
	// Missed is called when events may not have been heard: after each
	// connection, when messages were dropped, and for one that cannot be used.
	// Then only the API can tell what was deleted. It returns at once; many
	// calls in a row may come to one look. Two goroutines call it.
	Missed func()
	Log    *slog.Logger
	Clock  quarantine.Clock
	// Observer may be nil.
	Observer BusObserver
}

// BusObserver is told of what happens, for metrics. Its methods return at once
// and may be called by two goroutines.
type BusObserver interface {
	// Received tells what became of a message: "recorded", "ignored" (it
	// reports no deletion), "invalid" (given up) or "dropped" (too many
	// waited); and "failed" for each call of Record in vain. lag is the time
	// from the event to the record, by the clocks of the cloud and of this
	// host, in whole seconds of the cloud's; zero unless recorded, and where
	// the message has no time.
	Received(result string, lag time.Duration)
	// Backlog tells how many messages wait to be recorded, when that changed.
	Backlog(messages int)
	// Connected tells that messages flow, or flow no longer.
	Connected(up bool)
}

// Results, as BusObserver.Received is told them.
const (
	resultRecorded = "recorded"
	resultIgnored  = "ignored"
	resultInvalid  = "invalid"
	resultDropped  = "dropped"
	resultFailed   = "failed"
)

const (
	defaultEndpoint  = "tcp://127.0.0.1:2101"
	defaultHeartbeat = 10 * time.Second
	defaultQueue     = 10_000
	maxQueueBytes    = 256 << 20

	// A lost connection is tried again after reconnectMin, then after twice
	// that, up to reconnectMax; anew after one that held stableAfter.
	reconnectMin = 500 * time.Millisecond
	reconnectMax = 30 * time.Second
	stableAfter  = time.Minute
)

// subscriptions are the beginnings of the topics of all messages that Decode
// may take for a Deletion, with the states of doc.go. Of the two messages of a
// change of state they select the one whose topic begins with the state. EPILOG
// ends with a slash, because EPILOG_STOP and others destroy nothing. The API's
// message has a topic without an end: it is the last word of it. PENDING is for
// the recreate, whose other message may be missed.
func subscriptions() []string {
	return []string{
		"EVENT STATE VM/ACTIVE/EPILOG/",
		"EVENT STATE VM/ACTIVE/EPILOG_FAILURE/",
		"EVENT STATE VM/ACTIVE/CLEANUP_DELETE/",
		"EVENT STATE VM/ACTIVE/CLEANUP_RESUBMIT/",
		"EVENT STATE VM/ACTIVE/HOTPLUG/",
		"EVENT STATE VM/ACTIVE/HOTPLUG_EPILOG_POWEROFF/",
		"EVENT STATE VM/PENDING/",
		"EVENT STATE VM/DONE/",
		"EVENT STATE IMAGE/DELETE/",
		"EVENT API one.image.delete 1",
	}
}

// Bus takes the events that a front-end's hook manager publishes on ZeroMQ.
//
// The publisher keeps nothing for whom it does not reach, and nothing is
// acknowledged. What was published while the Bus was away, or is waiting when
// it ends, is not heard again: BusConfig.Missed tells that it must be asked for.
//
// Of the library the handshake is used, not its sockets: those dial without a
// context, wait for ever on a publisher that hangs, do not tell when a
// connection was lost, and allocate whatever length a message announces.
type Bus struct {
	cfg     BusConfig
	address string // host:port
	up      atomic.Bool
	queue   *eventQueue
	// connectTimeout is for all until the subscriptions are sent.
	connectTimeout time.Duration
}

// NewBus checks the configuration; Run works. The error wraps
// quarantine.ErrInvalid.
func NewBus(cfg BusConfig) (*Bus, error) {
	cfg.Endpoint = cmp.Or(cfg.Endpoint, defaultEndpoint)
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, defaultHeartbeat)
	cfg.Queue = cmp.Or(cfg.Queue, defaultQueue)
	switch {
	case cfg.Cloud == "":
		return nil, badBus("no cloud")
	case cfg.Record == nil || cfg.Missed == nil || cfg.Log == nil || cfg.Clock == nil:
		return nil, badBus("Record, Missed, Log and Clock are needed")
	case cfg.Heartbeat < 0:
		return nil, badBus("heartbeat %s is negative", cfg.Heartbeat)
	case cfg.Queue < 0:
		return nil, badBus("queue %d is negative", cfg.Queue)
	}
	address, ok := strings.CutPrefix(cfg.Endpoint, "tcp://")
	host, port, err := net.SplitHostPort(address)
	if n, perr := strconv.ParseUint(port, 10, 16); !ok || err != nil || host == "" || host == "*" || perr != nil || n == 0 {
		return nil, badBus("endpoint %q is not of the form tcp://host:port", cut(cfg.Endpoint, 80))
	}
	return &Bus{cfg: cfg, address: address, queue: newEventQueue(cfg.Queue, maxQueueBytes), connectTimeout: defaultConnectTimeout}, nil
}

// Up reports whether messages flow just now.
func (b *Bus) Up() bool { return b.up.Load() }

// Run takes messages until ctx ends, and returns nil then. It survives whatever
// the publisher does.
func (b *Bus) Run(ctx context.Context) error {
	var recorder sync.WaitGroup
	inHand := 0
	recorder.Go(func() { inHand = b.work(ctx) })
	b.listen(ctx)
	recorder.Wait()
	if n := inHand + b.queue.len(); n > 0 {
		b.cfg.Log.Warn("events are left unrecorded; the API tells of them at the next start", "endpoint", b.cfg.Endpoint, "messages", n)
	}
	return nil
}

// listen connects until ctx ends.
func (b *Bus) listen(ctx context.Context) {
	retry := backoff{least: reconnectMin, most: reconnectMax}
	for {
		began := b.cfg.Clock()
		wasUp, err := b.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if wasUp && b.cfg.Clock().Sub(began) >= stableAfter {
			retry.reset()
		}
		b.cfg.Log.Error("no events: the hook manager is not connected", "endpoint", b.cfg.Endpoint, "error", err, "retry_in", retry.next())
		if !retry.wait(ctx) {
			return
		}
	}
}

func (b *Bus) setUp(up bool) {
	if b.up.Swap(up) != up && b.cfg.Observer != nil {
		b.cfg.Observer.Connected(up)
	}
}

func (b *Bus) received(result string, lag time.Duration) {
	if b.cfg.Observer != nil {
		b.cfg.Observer.Received(result, lag)
	}
}

func (b *Bus) backlog() {
	if b.cfg.Observer != nil {
		b.cfg.Observer.Backlog(b.queue.len())
	}
}

// backoff is the pause between attempts: each time twice as long, between the
// bounds, and shortened by up to a quarter, so that many clients do not come
// back in step.
type backoff struct {
	least, most time.Duration
	full        time.Duration // before it was shortened
	pause       time.Duration
}

func (b *backoff) reset() { b.full = 0 }

// next makes the pause that wait will take, and returns it.
func (b *backoff) next() time.Duration {
	b.full = min(max(2*b.full, b.least), b.most)
	b.pause = time.Duration(float64(b.full) * (0.75 + 0.25*rand.Float64()))
	return b.pause
}

// wait waits and reports true, or false if ctx ended first.
func (b *backoff) wait(ctx context.Context) bool {
	timer := time.NewTimer(b.pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func badBus(format string, args ...any) error {
	return fmt.Errorf("%w event bus: %s", quarantine.ErrInvalid, fmt.Sprintf(format, args...))
}
