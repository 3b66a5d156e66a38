package opennebula_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"

	"quarantine/internal/opennebula"
)

// wire is a publisher that says whatever a test wants. serve has one connection
// after the other, and how many there were before.
func wire(t *testing.T, serve func(conn net.Conn, before int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for before := 0; ; before++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn, before)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return "tcp://" + l.Addr().String()
}

// greet does the publisher's side of the handshake, and takes the
// subscriptions and the first PING, which it answers.
func greet(conn net.Conn) (*zmq4.Conn, error) {
	c, err := zmq4.Open(conn, null.Security(), zmq4.Pub, nil, true, nil)
	if err != nil {
		return nil, err
	}
	for range 10 + 1 {
		if _, err := c.RecvMsg(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// linger holds a connection until the other side closes it.
func linger(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// zframe is one frame of ZMTP: of flags 1 means that more follow, 2 a long one,
// 4 a command.
func zframe(flags byte, b []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{flags | 2}, uint64(len(b))), b...)
}

func zmessage(frames ...[]byte) []byte {
	var out []byte
	for i, f := range frames {
		flags := byte(1)
		if i == len(frames)-1 {
			flags = 0
		}
		out = append(out, zframe(flags, f)...)
	}
	return out
}

// A message that is none, or too long, is counted and said, without its body,
// and does not keep the next one from being heard on the same connection.
func TestBusHostileMessages(t *testing.T) {
	t.Parallel()
	good := deaths(t)[0]
	topic := []byte(good.topic)
	bad := [][]byte{
		zmessage(topic),
		zmessage(topic, good.body, []byte("third")),
		zmessage(bytes.Repeat([]byte("x"), 5000), good.body),
		zmessage(topic, bytes.Repeat([]byte("QUFB"), 5<<20)), // 20 MiB
		zmessage(topic, good.body, make([]byte, 20<<20)),
		zmessage(topic, nil),
		zmessage(nil, nil),
		zmessage(topic, []byte("hunter2 !")),
		zmessage(topic, []byte(base64.StdEncoding.EncodeToString([]byte("hunter2 is no XML")))),
		zmessage(topic, []byte(base64.StdEncoding.EncodeToString([]byte("<VM><ID>hunter2</ID>")))),
		zmessage(topic, []byte(base64.StdEncoding.EncodeToString([]byte("<hunter2/>")))),
		zmessage(topic, good.body[:len(good.body)/2]),
		zmessage(topic, bytes.Repeat([]byte{0}, 100)),
		zmessage(bytes.Repeat([]byte{0}, 3000), bytes.Repeat([]byte{0xff}, 3000)),
	}
	endpoint := wire(t, func(conn net.Conn, _ int) {
		if _, err := greet(conn); err != nil {
			t.Errorf("handshake: %v", err)
			return
		}
		_, _ = conn.Write(zframe(4, []byte("\x07SOMEDAY that is not known")))
		for _, m := range bad {
			_, _ = conn.Write(m)
		}
		_, _ = conn.Write(zmessage(good.frames()...))
		linger(conn)
	})
	k := take(t, endpoint, nil)
	k.until("the good message", func() bool { return len(k.recorded) == 1 })
	k.end()
	if k.results["invalid"] != len(bad) || k.results["recorded"] != 1 || vms(k.recorded) != "0" {
		t.Errorf("results %v of %d bad messages and a good one", k.results, len(bad))
	}
	if want := []bool{true, false}; !slices.Equal(k.ups, want) || k.missed != 1+len(bad) {
		t.Errorf("connected %v, want %v; missed %d", k.ups, want, k.missed)
	}
	if log := k.log.String(); strings.Contains(log, "hunter2 ") || k.logged("an event cannot be used") != len(bad) || len(log) > 20_000 {
		t.Errorf("the log:\n%s", log)
	}
}

// What is no ZeroMQ ends the connection, without harm; the next one is used.
func TestBusHostilePeers(t *testing.T) {
	t.Parallel()
	good := deaths(t)[0]
	greeting := make([]byte, 64)
	greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
	copy(greeting[12:], "NULL")
	after := func(b ...byte) func(net.Conn) { // after the handshake
		return func(conn net.Conn) {
			if _, err := greet(conn); err == nil {
				_, _ = conn.Write(b)
				linger(conn)
			}
		}
	}
	within := func(b ...byte) func(net.Conn) { // in place of it
		return func(conn net.Conn) {
			_, _ = conn.Write(b)
			linger(conn)
		}
	}
	ready := func(metadata string) []byte { return slices.Concat(greeting, zframe(4, []byte("\x05READY"+metadata))) }
	huge := []byte{2, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	for name, serve := range map[string]func(net.Conn){
		"closes at once":             func(net.Conn) {},
		"HTTP":                       within([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + strings.Repeat(" ", 100))...),
		"an old version":             within(slices.Concat(greeting[:10], []byte{1}, greeting[11:])...),
		"another mechanism":          within(slices.Concat(greeting[:12], []byte("CURVE"), greeting[17:])...),
		"half a greeting":            func(conn net.Conn) { _, _ = conn.Write(greeting[:30]) },
		"a huge frame for READY":     within(slices.Concat(greeting, huge)...),
		"a frame beyond all":         within(slices.Concat(greeting, []byte{2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})...),
		"a frame without end":        within(slices.Concat(greeting, zframe(1, nil), huge)...),
		"a command without a body":   within(slices.Concat(greeting, zframe(4, nil))...),
		"a command without a name":   within(slices.Concat(greeting, zframe(4, []byte{200, 1}))...),
		"metadata that end early":    within(ready("\x0bSocket-Ty")...),
		"metadata without a value":   within(ready("\x0bSocket-Type\x00\x00")...),
		"metadata of a huge value":   within(ready("\x0bSocket-Type\xff\xff\xff\xff")...),
		"another kind of socket":     within(ready("\x0bSocket-Type\x00\x00\x00\x03SUB")...),
		"a huge frame":               after(huge...),
		"a frame of more than 2^63":  after(2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"unknown flags":              after(0x80, 0),
		"a huge command":             after(6, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff),
		"an empty command":           after(4, 0),
		"a nameless command":         after(4, 2, 0, 0),
		"a command with a long name": after(4, 2, 9, 'P'),
		"a command in a message":     after(1, 1, 'x', 4, 1, 'x'),
		"a command of two frames":    after(5, 2, 1, 'P'),
		"ends within a frame":        func(conn net.Conn) { _, _ = greet(conn); _, _ = conn.Write([]byte{0, 200, 1, 2, 3}) },
		"a message of too much":      after(slices.Concat(zframe(1, make([]byte, 40<<20)), zframe(1, make([]byte, 40<<20)))...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := wire(t, func(conn net.Conn, before int) {
				if before == 0 {
					serve(conn)
				} else if _, err := greet(conn); err == nil {
					_, _ = conn.Write(zmessage(good.frames()...))
					linger(conn)
				}
			})
			k := take(t, endpoint, nil)
			k.until("the good message", func() bool { return len(k.recorded) == 1 })
			k.end()
			if k.logged("the hook manager is not connected") != 1 || k.log.Len() > 2000 {
				t.Errorf("the log:\n%s", k.log.String())
			}
		})
	}
}

// A publisher that answers is asked again and again, and kept. One that stops
// to answer is gone, though the connection stands; and so is one that never
// answers and is silent for long.
func TestBusHeartbeat(t *testing.T) {
	t.Parallel()
	t.Run("answers, then hangs", func(t *testing.T) {
		t.Parallel()
		var pings, connections atomic.Int32
		hang := make(chan struct{})
		endpoint := wire(t, func(conn net.Conn, before int) {
			connections.Add(1)
			c, err := greet(conn)
			for err == nil && (before > 0 || pings.Load() < 3) {
				var m zmq4.Msg
				if m, err = c.RecvMsg(); err == nil && m.Type == zmq4.CmdMsg {
					pings.Add(1)
				}
			}
			if before == 0 {
				<-hang
			}
		})
		k := take(t, endpoint, func(_ *taker, cfg *opennebula.BusConfig) { cfg.Heartbeat = 500 * time.Millisecond })
		k.until("the publisher given up", func() bool { return len(k.ups) == 2 })
		close(hang)
		if pings.Load() < 3 || connections.Load() != 1 {
			t.Errorf("%d PINGs were answered on %d connections, want at least 3 on one", pings.Load(), connections.Load())
		}
		k.until("the next connection", func() bool { return len(k.ups) >= 3 && k.missed >= 2 })
		if k.logged("gives no sign of life") == 0 {
			t.Errorf("the log:\n%s", k.log.String())
		}
		k.end()
	})
	t.Run("answers nothing", func(t *testing.T) {
		t.Parallel()
		pub := publish(t, "tcp://127.0.0.1:0")
		k := take(t, pub.endpoint(), func(_ *taker, cfg *opennebula.BusConfig) { cfg.Heartbeat = 20 * time.Millisecond })
		k.until("another connection", func() bool { return len(k.ups) >= 3 && k.missed >= 2 })
		if k.logged("it may be gone") == 0 {
			t.Errorf("the log:\n%s", k.log.String())
		}
		k.end()
	})
	t.Run("answers late", func(t *testing.T) {
		t.Parallel()
		answer := make(chan struct{})
		endpoint := wire(t, func(conn net.Conn, _ int) {
			c, err := zmq4.Open(conn, null.Security(), zmq4.Pub, nil, true, nil)
			for n := 0; err == nil; n++ {
				if n == 10 { // the subscriptions
					<-answer
				}
				_, err = c.RecvMsg()
			}
		})
		k := take(t, endpoint, func(_ *taker, cfg *opennebula.BusConfig) { cfg.Heartbeat = 500 * time.Millisecond })
		k.until("the connection", func() bool { return k.missed == 1 && len(k.ups) == 1 })
		close(answer) // before it the API may have been asked too early
		k.until("another look", func() bool { return k.missed == 2 })
		k.end()
	})
	t.Run("asks", func(t *testing.T) {
		t.Parallel()
		answer := make(chan []byte, 1)
		endpoint := wire(t, func(conn net.Conn, _ int) {
			if _, err := greet(conn); err != nil {
				return
			}
			_, _ = conn.Write(zframe(4, []byte("\x04PING\x00\x64context")))
			b := make([]byte, 2+1+len("PONGcontext"))
			_, _ = io.ReadFull(conn, b)
			answer <- b
			linger(conn)
		})
		k := take(t, endpoint, nil)
		select {
		case got := <-answer:
			if want := "\x04\x0c\x04PONGcontext"; string(got) != want {
				t.Errorf("the answer is %q, want %q", got, want)
			}
		case <-time.After(deadline):
			t.Error("no answer")
		}
		k.end()
	})
}
