package openstacklab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// probe says, by no error, that a service which was started at the time
// serves.
type probe func(ctx context.Context, started time.Time) error

// probeTimeout is how long one question may take.
const probeTimeout = 30 * time.Second

// await asks until the probe finds no fault, the program ends or the context
// does.
func (l *Lab) await(ctx context.Context, s service, started time.Time) error {
	if s.ready == nil {
		return nil
	}
	// A probe that is dear must not take the time that starting needs.
	tick := time.NewTicker(max(50*time.Millisecond, s.every))
	defer tick.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, probeTimeout)
		err := s.ready(ask, started)
		cancel()
		if err == nil {
			return nil
		}
		running, listErr := l.ctl.Running(ctx)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("wait for %s: %w: %w", s.name, ctx.Err(), err)
		case listErr != nil:
			return fmt.Errorf("wait for %s: %w", s.name, listErr)
		case running[s.name] == 0:
			return fmt.Errorf("wait for %s: it %w any more: see log/%s.out", s.name, ErrNotRunning, s.name)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", s.name, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// greets connects, says something, and expects to be told anything.
func greets(port int, hello string) probe {
	return func(ctx context.Context, _ time.Time) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		if _, err := io.WriteString(conn, hello); err != nil {
			return err
		}
		_, err = io.ReadFull(conn, make([]byte, 1))
		return err
	}
}

// answers asks for / and takes any answer.
func answers(port int) probe {
	return func(ctx context.Context, _ time.Time) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
}

// reports expects that the service has reported itself to its database since
// it was started, which it does when it takes orders. The columns have whole
// seconds.
func (l *Lab) reports(database, binary, column string) probe {
	return func(ctx context.Context, started time.Time) error {
		query := fmt.Sprintf("SELECT 1 FROM %s.services WHERE `binary`='%s' AND report_count>0 AND %s>'%s'",
			database, binary, column, started.UTC().Truncate(time.Second).Format(time.DateTime))
		out, err := l.sql(ctx, query)
		if err != nil {
			return err
		}
		if strings.TrimSpace(out) == "" {
			return fmt.Errorf("%s has not reported itself", binary)
		}
		return nil
	}
}

// virshAnswers asks libvirtd for its version.
func (l *Lab) virshAnswers(ctx context.Context, _ time.Time) error {
	_, err := l.Virsh(ctx, "version")
	return err
}
