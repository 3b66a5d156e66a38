package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Client gives orders to a supervisor. It may be used from several goroutines
// and processes.
type Client struct {
	http *http.Client
}

// NewClient returns a client of the supervisor that listens on the socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Start runs the program. If one of its name runs, that is left as it is.
func (c *Client) Start(ctx context.Context, s Spec) error {
	if err := c.do(ctx, http.MethodPost, "/start", s, nil); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	return nil
}

// Run runs the program and returns when it has ended; an error if not with
// status 0.
func (c *Client) Run(ctx context.Context, s Spec) error {
	return c.do(ctx, http.MethodPost, "/run", s, nil)
}

// Stop sends the program a signal, kills it if it has not ended after the
// grace time, kills what it left of its children, and returns when it has
// ended. One that does not run is fine.
func (c *Client) Stop(ctx context.Context, name string, s syscall.Signal, grace time.Duration) error {
	if err := c.do(ctx, http.MethodPost, "/stop", order{name, int(s), grace}, nil); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// Signal sends the program and all processes below it a signal.
func (c *Client) Signal(ctx context.Context, name string, s syscall.Signal) error {
	if err := c.do(ctx, http.MethodPost, "/signal", order{Name: name, Signal: int(s)}, nil); err != nil {
		return fmt.Errorf("signal %s: %w", name, err)
	}
	return nil
}

// Running returns the programs that run, with their process numbers within the
// namespace.
func (c *Client) Running(ctx context.Context) (map[string]int, error) {
	var names map[string]int
	if err := c.do(ctx, http.MethodGet, "/running", nil, &names); err != nil {
		return nil, fmt.Errorf("list the lab's processes: %w", err)
	}
	return names, nil
}

// End asks the supervisor to end. It returns before that has happened.
func (c *Client) End(ctx context.Context) error {
	if err := c.do(ctx, http.MethodPost, "/end", nil, nil); err != nil {
		return fmt.Errorf("end the lab: %w", err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	if out != nil {
		return json.Unmarshal(body, out)
	}
	return nil
}
