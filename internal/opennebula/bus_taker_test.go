package opennebula_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// deadline is how long a condition may take to come true. It is far beyond what
// it takes, because the machine may be busy.
const deadline = 30 * time.Second

// taker runs a Bus and keeps what it tells.
type taker struct {
	t       *testing.T
	bus     *opennebula.Bus
	end     func() // ends the Bus and waits for it
	changed chan struct{}

	mu       sync.Mutex
	recorded []quarantine.Deletion
	results  map[string]int
	lags     []time.Duration
	missed   int
	ups      []bool
	backlog  int
	log      bytes.Buffer
}

// take starts a Bus on the endpoint, with the configuration as changed.
func take(t *testing.T, endpoint string, change func(*taker, *opennebula.BusConfig)) *taker {
	t.Helper()
	k := &taker{t: t, results: map[string]int{}, changed: make(chan struct{}, 1)}
	cfg := opennebula.BusConfig{
		Cloud: cloud, Endpoint: endpoint, Record: k.record, Missed: func() { k.note(func() { k.missed++ }) },
		Log: slog.New(slog.NewTextHandler(k, nil)), Clock: time.Now, Observer: k,
	}
	if change != nil {
		change(k, &cfg)
	}
	var err error
	if k.bus, err = opennebula.NewBus(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.bus.Run(ctx) }()
	k.end = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(deadline):
			t.Error("Run goes on after the end of its context")
		}
	})
	t.Cleanup(k.end)
	return k
}

func (k *taker) note(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

func (k *taker) record(_ context.Context, ds []quarantine.Deletion) error {
	k.note(func() { k.recorded = append(k.recorded, ds...) })
	return nil
}

// Received implements opennebula.BusObserver.
func (k *taker) Received(result string, lag time.Duration) {
	k.note(func() {
		k.results[result]++
		if result == "recorded" {
			k.lags = append(k.lags, lag)
		}
	})
}

// Backlog implements opennebula.BusObserver.
func (k *taker) Backlog(messages int) { k.note(func() { k.backlog = messages }) }

// Connected implements opennebula.BusObserver.
func (k *taker) Connected(up bool) { k.note(func() { k.ups = append(k.ups, up) }) }

// Write takes the log.
func (k *taker) Write(p []byte) (int, error) {
	k.note(func() { k.log.Write(p) })
	return len(p), nil
}

// until waits for a condition on what was told.
func (k *taker) until(what string, condition func() bool) {
	k.t.Helper()
	late := time.After(deadline)
	for {
		k.mu.Lock()
		ok := condition()
		k.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-k.changed:
		case <-late:
			k.mu.Lock()
			defer k.mu.Unlock()
			k.t.Fatalf("waited in vain: %s; recorded %q, results %v, missed %d, connected %v, log:\n%s",
				what, lines(k.recorded), k.results, k.missed, k.ups, k.log.String())
		}
	}
}

// logged counts the lines of the log that hold a text.
func (k *taker) logged(text string) int {
	n := 0
	for line := range strings.Lines(k.log.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// eventually polls what tells nobody when it changes.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	late := time.After(deadline)
	for !condition() {
		select {
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		default:
			runtime.Gosched()
		}
	}
}

// brisk is for publishers that answer no PING: they are not waited for longer.
// They may be silent for half a minute.
func brisk(_ *taker, cfg *opennebula.BusConfig) { cfg.Heartbeat = 500 * time.Millisecond }

// publisher is a socket of the Go library. It answers no PING.
type publisher struct {
	t *testing.T
	zmq4.Socket
}

func publish(t *testing.T, endpoint string) *publisher {
	t.Helper()
	p := &publisher{t, zmq4.NewPub(context.Background())}
	if err := p.Listen(endpoint); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func (p *publisher) endpoint() string { return "tcp://" + p.Addr().String() }

// subscribed waits until the Bus has subscribed to all that it wants.
func (p *publisher) subscribed() {
	p.t.Helper()
	eventually(p.t, "subscriptions", func() bool { return len(p.Socket.(zmq4.Topics).Topics()) == 10 })
}

func (p *publisher) send(frames ...[]byte) {
	p.t.Helper()
	if err := p.SendMulti(zmq4.NewMsgFrom(frames...)); err != nil {
		p.t.Fatal(err)
	}
}

// ownAddress is one that no other test listens on or connects from, so that a
// port of it that is given back stays free.
const ownAddress = "127.0.7.1"

// freeEndpoint is one where nobody listens.
func freeEndpoint(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", ownAddress+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "tcp://" + l.Addr().String()
}

// published is a recorded message.
type published struct {
	seq   int
	topic string
	body  []byte // nil: not kept
}

func (p published) frames() [][]byte {
	if p.body == nil {
		return [][]byte{[]byte(p.topic), []byte("this message should not have been received")}
	}
	return [][]byte{[]byte(p.topic), p.body}
}

// recordedMessages are all that the recorded hook manager published. Of those
// that may report a Deletion, and of some others, the body is kept: a change of
// state is published under two topics, one after the other with the same body,
// of which the first is in testdata.
func recordedMessages(t *testing.T) []published {
	t.Helper()
	topics, err := os.ReadFile("testdata/zmq/topics")
	if err != nil {
		t.Fatal(err)
	}
	var all []published
	for line := range strings.Lines(string(topics)) {
		number, topic, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		p := published{topic: topic}
		if _, err := fmt.Sscanf(number, "%d", &p.seq); err != nil {
			t.Fatal(err)
		}
		if p.body = keptBody(t, p.seq); p.body == nil && strings.HasPrefix(topic, "EVENT STATE") {
			p.body = keptBody(t, p.seq-1)
		}
		all = append(all, p)
	}
	if len(all) != 852 {
		t.Fatalf("%d messages, not 852", len(all))
	}
	return all
}

func keptBody(t *testing.T, seq int) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "zmq", fmt.Sprintf("%05d.frame1", seq)))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return b
}

// deaths are the messages of eight VMs, each of which reports the end of one.
func deaths(t *testing.T) []published {
	t.Helper()
	seqs := []int{179, 188, 199, 207, 221, 235, 298, 363}
	var out []published
	for _, p := range recordedMessages(t) {
		if slices.Contains(seqs, p.seq) {
			out = append(out, p)
		}
	}
	if len(out) != len(seqs) {
		t.Fatalf("%d of %d messages are there", len(out), len(seqs))
	}
	return out
}

// vms are the ids of the VMs, in the order in which they were recorded.
func vms(ds []quarantine.Deletion) string {
	ids := make([]string, len(ds))
	for i, d := range ds {
		ids[i] = d.ResourceID
	}
	return strings.Join(ids, " ")
}

// noGoroutine waits until no goroutine is in a function of that name.
func noGoroutine(t *testing.T, function string) {
	t.Helper()
	all := ""
	late := time.After(deadline)
	for {
		buf := make([]byte, 4<<20)
		if all = string(buf[:runtime.Stack(buf, true)]); !strings.Contains(all, function) {
			return
		}
		select {
		case <-late:
			t.Fatalf("a goroutine stays in %s:\n%s", function, all)
		default:
			runtime.Gosched()
		}
	}
}
