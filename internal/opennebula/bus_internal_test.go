package opennebula

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// The bytes of what waits are bounded too, and given back; a single event may
// be larger than the bound.
func TestEventQueueBytes(t *testing.T) {
	t.Parallel()
	q := newEventQueue(100, 1000)
	for i := range 5 {
		if dropped, begins := q.push(event{topic: string(rune('a' + i)), body: make([]byte, 399)}); dropped != min(1, max(0, i-1)) || begins != (i == 2) {
			t.Errorf("event %d: %d dropped, begins %v", i, dropped, begins)
		}
	}
	if q.len() != 2 || q.bytes != 800 {
		t.Errorf("%d events of %d bytes wait", q.len(), q.bytes)
	}
	if dropped, begins := q.push(event{topic: "f", body: make([]byte, 5000)}); dropped != 2 || begins || q.len() != 1 {
		t.Errorf("a large event: %d dropped, begins %v, %d wait", dropped, begins, q.len())
	}
	e, more, ok := q.pop(context.Background())
	if e.topic != "f" || more != 4 || !ok || q.bytes != 0 {
		t.Errorf("popped %q, %d more dropped, %v; %d bytes are left", e.topic, more, ok, q.bytes)
	}
	if _, begins := q.push(event{topic: "g"}); begins {
		t.Error("an overflow begins with nothing dropped")
	}
	if _, more, _ := q.pop(context.Background()); more != 0 {
		t.Errorf("%d were dropped again", more)
	}
}

// Neither the library nor the Bus makes room for what is too long: it is
// refused or passed over before.
func TestBusRoom(t *testing.T) {
	t.Parallel()
	long := binary.BigEndian.AppendUint64([]byte{flagCommand | flagLong}, maxCommand+1)
	c := &handshakeConn{r: bufio.NewReader(bytes.NewReader(append(make([]byte, greetingBytes), long...)))}
	if n, err := io.ReadFull(c, make([]byte, greetingBytes+1)); n != greetingBytes || !errors.Is(err, errProtocol) {
		t.Errorf("a long frame in the handshake: %d bytes, %v", n, err)
	}
	stream := binary.BigEndian.AppendUint64([]byte{flagMore, 1, 't', flagLong}, MaxBody+1)
	stream = append(stream, make([]byte, MaxBody+1)...)
	a, err := readArrival(bufio.NewReader(bytes.NewReader(append(stream, 0, 1, 'n'))))
	if err != nil || a.event.topic != "t" || a.event.body != nil || a.event.fault == "" {
		t.Errorf("a long body: topic %q, %d bytes of body, fault %q, %v", a.event.topic, len(a.event.body), a.event.fault, err)
	}
}

// Pauses grow up to the bound, differ, and begin anew after a reset.
func TestBackoff(t *testing.T) {
	t.Parallel()
	b := backoff{least: time.Second, most: 30 * time.Second}
	for range 2 {
		for _, full := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			if got, most := b.next(), full*time.Second; got > most || got < most*3/4 {
				t.Errorf("a pause of %s, want %s or somewhat less", got, most)
			}
		}
		b.reset()
	}
	b.full = b.most
	if first := b.next(); first == b.next() {
		t.Error("two pauses are the same")
	}
}

// A publisher that takes a connection and says nothing, as one that hangs or is
// no publisher, is left after a while, and tried again.
func TestBusNoAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var log bytes.Buffer
	b, err := NewBus(BusConfig{
		Cloud: "one", Endpoint: "tcp://" + l.Addr().String(), Missed: func() { t.Error("Missed was called") },
		Record: func(context.Context, []quarantine.Deletion) error { return nil },
		Log:    slog.New(slog.NewTextHandler(&log, nil)), Clock: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.connectTimeout = 200 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	for range 2 {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	cancel()
	if err := <-done; err != nil || !strings.Contains(log.String(), errNoAnswer.Error()) {
		t.Errorf("%v; the log:\n%s", err, log.String())
	}
}

// stream is a connection whose other side has said all that it ever says.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s stream) Write(p []byte) (int, error) { return len(p), nil }

// FuzzPublisher proves that no publisher, whatever it says, makes the Bus
// panic or take more memory than the bounds.
func FuzzPublisher(f *testing.F) {
	greeting := make([]byte, greetingBytes)
	greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
	copy(greeting[12:], "NULL")
	ready := "\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"
	for _, s := range []string{"\x01\x03top\x00\x04body", "\x04\x09\x04PING\x00\x00ab", "\x04\x05\x04PONG", "\x03\x00\x00\x00\x00\x00\x00\x00\x01t\x00\x00", "\x80"} {
		f.Add(append(append([]byte{}, greeting...), ready+s...))
	}
	f.Add(append(append([]byte{}, greeting...), binary.BigEndian.AppendUint64([]byte{2}, 1<<62)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		src := bytes.NewReader(data)
		l := &link{socket: stream{Reader: src}, r: bufio.NewReader(src)}
		if err := l.open(); err != nil {
			return
		}
		for {
			a, err := readArrival(l.r)
			if err != nil {
				return
			}
			if n := a.event.size(); n > MaxBody+maxTopic || n > len(data) {
				t.Fatalf("an event of %d bytes", n)
			}
			if a.command == "" && a.event.fault == "" && len(a.event.topic) > maxTopic {
				t.Fatal("a long topic is no fault")
			}
		}
	})
}
