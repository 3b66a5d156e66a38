package openstack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// heartbeat finds a broker that hangs, or a network that swallows packets.
	heartbeat = 10 * time.Second
	// connectTimeout is for all until messages flow.
	connectTimeout = 30 * time.Second
	// stopGrace is how long Records that have begun may go on when the
	// consumer stops or the connection is lost; closeGrace is for the rest.
	stopGrace  = 10 * time.Second
	closeGrace = 5 * time.Second

	// readBuffer holds some twenty messages.
	readBuffer = 64 << 10

	consumerTag = "quarantine"
)

var (
	errCancelled = errors.New("the broker cancelled the consumer; was the queue deleted?")
	errNoAnswer  = fmt.Errorf("no answer within %s", connectTimeout)
)

// connection is a connection and the socket below it. The library has no
// contexts; closing the socket ends whatever it waits for.
type connection struct {
	*amqp.Connection
	socket net.Conn
}

// bufferedConn reads ahead. The library's own buffer is smaller than most
// messages, which costs two reads of the network for each.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// session works on one connection until it breaks or ctx ends. It reports
// whether messages flowed.
func (c *Consumer) session(ctx context.Context, b broker) (up bool, err error) {
	setup, cancel := context.WithTimeoutCause(ctx, connectTimeout, errNoAnswer)
	defer cancel()
	defer func() {
		if cause := context.Cause(setup); !up && errors.Is(cause, errNoAnswer) {
			err = fmt.Errorf("%w: %w", err, cause) // else it says only that the socket was closed
		}
	}()
	conn, err := c.connect(setup, b)
	if err != nil {
		return false, err
	}
	defer conn.end()
	abort := context.AfterFunc(setup, func() { conn.socket.Close() })
	defer abort()

	if err := c.declare(conn.Connection); err != nil {
		return false, err
	}
	ch, err := conn.Channel()
	if err != nil {
		return false, fmt.Errorf("open a channel: %w", err)
	}
	if err := ch.Qos(c.cfg.Prefetch, 0, false); err != nil {
		return false, fmt.Errorf("set prefetch %d: %w", c.cfg.Prefetch, err)
	}
	lost := conn.NotifyClose(make(chan *amqp.Error, 1))
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	cancelled := ch.NotifyCancel(make(chan string, 1))
	deliveries, err := ch.Consume(c.cfg.Queue, consumerTag, false, false, false, false, nil)
	if err != nil {
		return false, fmt.Errorf("consume queue %s: %w", c.cfg.Queue, err)
	}
	if !abort() {
		return false, fmt.Errorf("connect: %w", setup.Err())
	}

	// What has begun to be recorded is finished, whatever happens: records
	// outlives work by stopGrace.
	work, stop := context.WithCancel(ctx)
	defer stop()
	records, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	var intake sync.WaitGroup
	intake.Go(func() { c.take(work, records, ch, deliveries) })
	c.setUp(true)
	c.cfg.Log.Info("notifications flow", "broker", b.address, "queue", c.cfg.Queue)
	err = c.watch(ctx, conn, lost, closed, cancelled)
	c.setUp(false)

	stop()
	defer time.AfterFunc(stopGrace, kill).Stop()
	defer time.AfterFunc(stopGrace+closeGrace, func() { conn.socket.Close() }).Stop()
	if cerr := ch.Cancel(consumerTag, false); cerr != nil && err == nil && ctx.Err() == nil {
		err = fmt.Errorf("cancel the consumer: %w", cerr)
	}
	intake.Wait()
	return true, err
}

// watch returns why the session is over; nil when ctx ended.
func (c *Consumer) watch(ctx context.Context, conn *connection, lost, closed <-chan *amqp.Error, cancelled <-chan string) error {
	rebind := time.NewTicker(c.cfg.Rebind)
	defer rebind.Stop()
	sample := time.NewTicker(c.cfg.Sample)
	defer sample.Stop()
	inTime := func(f func(*amqp.Connection) error) error {
		defer time.AfterFunc(heartbeat, func() { conn.socket.Close() }).Stop()
		return f(conn.Connection)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-lost:
			return reason("connection lost", e)
		case e := <-closed:
			return reason("channel closed", e)
		case <-cancelled:
			return errCancelled
		case <-rebind.C:
			if err := inTime(c.bind); err != nil {
				return err
			}
		case <-sample.C:
			if err := inTime(c.sample); err != nil {
				return err
			}
		}
	}
}

// reason gives what the library says of a close; it says nothing (nil) where
// the socket was closed on this side.
func reason(what string, e *amqp.Error) error {
	if e == nil {
		return errors.New(what)
	}
	return fmt.Errorf("%s: %w", what, e)
}

// connect opens a connection. Its errors do not hold the URL.
func (c *Consumer) connect(ctx context.Context, b broker) (*connection, error) {
	conn := &connection{}
	release := func() bool { return true }
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(c.cfg.Queue)
	var err error
	conn.Connection, err = amqp.DialConfig(b.url, amqp.Config{
		Heartbeat: heartbeat, TLSClientConfig: c.cfg.TLS.Clone(), Properties: properties,
		Dial: func(network, address string) (net.Conn, error) {
			var dialer net.Dialer
			socket, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			conn.socket = socket
			release = context.AfterFunc(ctx, func() { socket.Close() })
			return bufferedConn{socket, bufio.NewReaderSize(socket, readBuffer)}, nil
		},
	})
	release()
	if err != nil {
		if conn.socket != nil {
			conn.socket.Close()
		}
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// end closes the connection, orderly if the broker answers in time. What was
// not acknowledged goes back to the queue.
func (conn *connection) end() {
	defer time.AfterFunc(closeGrace, func() { conn.socket.Close() }).Stop()
	// An error says that it is closed already.
	_ = conn.Connection.Close()
}
