package rabbitlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// protocolHeader is how an AMQP 0.9.1 client begins; a broker that is ready
// answers with a method frame, whose first byte is 1.
const protocolHeader = "AMQP\x00\x00\x09\x01"

var (
	errNotReady = errors.New("the broker does not take connections yet")
	errEnded    = errors.New("the broker ended")
)

// ready waits until the broker takes connections.
func (l *Lab) ready(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := l.greet(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-l.broker.ended:
			return errEnded
		case <-tick.C:
		}
	}
}

func (l *Lab) greet(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.Address())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, protocolHeader); err != nil {
		return err
	}
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return err
	}
	if first[0] != 1 {
		return errNotReady
	}
	return nil
}

// tail is the end of what the broker wrote, for errors.
func (l *Lab) tail() string {
	var out bytes.Buffer
	logs, _ := filepath.Glob(l.path("log/*.log")) // the pattern is right
	for _, file := range append([]string{l.path("broker.out")}, logs...) {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		fmt.Fprintf(&out, "%s: … %s\n", filepath.Base(file), b[max(0, len(b)-2000):])
	}
	return out.String()
}
