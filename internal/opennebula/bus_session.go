package opennebula

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

const (
	defaultConnectTimeout = 10 * time.Second
	// settle is how long the publisher's answer to the first PING is waited for.
	// It comes when the subscriptions were taken.
	settle = 5 * time.Second
	// quietBeats is after how many heartbeats a publisher that knows no PING
	// (libzmq before 4.2) and says nothing is connected to anew.
	quietBeats = 60

	// readBuffer holds some messages.
	readBuffer = 64 << 10
)

var (
	errNoAnswer = errors.New("no answer in time")
	errSilent   = errors.New("the publisher gives no sign of life")
	errQuiet    = errors.New("the publisher has been silent for long and answers no PING: it may be gone")
)

// session takes messages on one connection until it breaks or ctx ends. It
// reports whether messages flowed.
func (b *Bus) session(ctx context.Context) (up bool, err error) {
	l, err := b.connect(ctx)
	if err != nil {
		return false, err
	}
	defer context.AfterFunc(ctx, func() { l.socket.Close() })()

	watching, stop := context.WithCancel(ctx)
	arrivals := make(chan arrival)
	var lost error // written before arrivals is closed
	var reader sync.WaitGroup
	defer reader.Wait()
	defer l.socket.Close()
	defer stop()
	reader.Go(func() {
		defer close(arrivals)
		lost = l.read(watching, arrivals)
	})
	defer b.setUp(false)
	up, err = b.watch(ctx, l, arrivals)
	if err == nil && ctx.Err() == nil {
		err = fmt.Errorf("connection lost: %w", lost)
	}
	return up, err
}

// watch takes what arrives, until there is no more (nil), ctx ends (nil), or
// the publisher counts as gone.
func (b *Bus) watch(ctx context.Context, l *link, arrivals <-chan arrival) (up bool, err error) {
	settled := time.NewTimer(min(settle, b.cfg.Heartbeat))
	defer settled.Stop()
	beat := time.NewTicker(b.cfg.Heartbeat)
	defer beat.Stop()
	ready := func() {
		if !up {
			up = true
			b.setUp(true)
			b.cfg.Log.Info("events flow", "endpoint", b.cfg.Endpoint)
			b.cfg.Missed() // only now: what happens after the look must be heard
		}
	}
	assumed := false
	if err := l.ping(); err != nil {
		return false, err
	}
	life := pulse{asked: true}
	for {
		select {
		case <-ctx.Done():
			return up, nil
		case a, ok := <-arrivals:
			if !ok {
				return up, nil
			}
			life.heard(a.command)
			switch a.command {
			case "":
				ready()
				b.enqueue(a.event)
			case commandPong:
				if ready(); assumed {
					assumed = false
					b.cfg.Missed() // the first look may have been too early
				}
			case commandPing:
				err = l.pong(a.context)
			}
		case <-settled.C:
			assumed = !up
			ready()
		case <-beat.C:
			ask := false
			if ask, err = life.beat(); ask {
				err = l.ping()
			}
		}
		if err != nil {
			return up, err
		}
	}
}

// pulse tells whether the publisher is alive.
type pulse struct {
	alive   bool // something came since the last beat
	asked   bool // a PING was sent since something came
	answers bool // it answered a PING, ever
	quiet   int  // beats without a sign
}

// heard takes note of what came.
func (p *pulse) heard(command string) {
	p.alive = true
	p.answers = p.answers || command == commandPong
}

// beat says after each heartbeat whether to ask for a sign of life, or that the
// publisher counts as gone.
func (p *pulse) beat() (ask bool, err error) {
	switch {
	case p.alive:
		*p = pulse{answers: p.answers}
		return false, nil
	case !p.answers:
		// The first PING was not answered. TCP's own keepalive watches, and what
		// that does not see ends here.
		if p.quiet++; p.quiet >= quietBeats {
			return false, errQuiet
		}
		return false, nil
	case p.asked:
		return false, errSilent
	}
	p.asked = true
	return true, nil
}

// link is a connection to the publisher.
type link struct {
	socket net.Conn
	zmtp   *zmq4.Conn
	r      *bufio.Reader
}

// connect dials, and subscribes.
func (b *Bus) connect(ctx context.Context) (l *link, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.connectTimeout, errNoAnswer)
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: b.cfg.Heartbeat, Interval: b.cfg.Heartbeat, Count: 3}}
	socket, err := dialer.DialContext(ctx, "tcp", b.address)
	if err != nil {
		return nil, err
	}
	release := context.AfterFunc(ctx, func() { socket.Close() })
	l = &link{socket: socket, r: bufio.NewReaderSize(socket, readBuffer)}
	err = l.open()
	if !release() {
		err = context.Cause(ctx) // the socket was closed for it
	}
	if err != nil {
		socket.Close()
		return nil, err
	}
	return l, nil
}

// open does the handshake and subscribes.
func (l *link) open() (err error) {
	defer func() {
		// The library indexes what it reads without looking how long that is.
		if p := recover(); p != nil {
			err = fmt.Errorf("handshake: %w", errProtocol)
		}
	}()
	l.zmtp, err = zmq4.Open(&handshakeConn{Conn: l.socket, r: l.r}, null.Security(), zmq4.Sub, nil, false, nil)
	if err != nil {
		return fmt.Errorf("handshake: %s", cut(err.Error(), 300)) // it repeats what came
	}
	for _, topic := range subscriptions() {
		if err := l.zmtp.SendMsg(zmq4.NewMsgString("\x01" + topic)); err != nil {
			return fmt.Errorf("subscribe to %s: %w", topic, err)
		}
	}
	return nil
}

// read gives on what arrives, until ctx ends or the connection is lost.
func (l *link) read(ctx context.Context, arrivals chan<- arrival) error {
	for {
		a, err := readArrival(l.r)
		if err != nil {
			return err
		}
		select {
		case arrivals <- a:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ping asks for a sign of life. The two bytes say that the publisher need not
// watch over this side.
func (l *link) ping() error {
	if err := l.zmtp.SendCmd(commandPing, []byte{0, 0}); err != nil {
		return fmt.Errorf("send a PING: %w", err)
	}
	return nil
}

func (l *link) pong(context []byte) error {
	if err := l.zmtp.SendCmd(commandPong, context); err != nil {
		return fmt.Errorf("send a PONG: %w", err)
	}
	return nil
}
