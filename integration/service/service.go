// Package service runs quarantined as an operator does: as a process with a
// configuration, for benches.
package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"quarantine/internal/api/client"
)

// stopTime is how long the daemon may take to end in order.
const stopTime = 2 * time.Minute

// ErrEnded says that the daemon ended by itself.
var ErrEnded = errors.New("the daemon ended")

var serving = regexp.MustCompile(`msg=serving .*addr=(\S+)`)

// Daemon is a running quarantined.
type Daemon struct {
	// Client speaks to it with the token that it was started with.
	Client *client.Client
	// PID is its process.
	PID int

	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed when its output ends
}

// Start starts the binary with the configuration file, whose tokens have the
// given one and which listens on a port of the system's choice, with env beside
// this process's environment, and returns when it serves. Its log is appended to
// the file "log" beside the configuration. Should this process die, the daemon
// goes with it. ErrEnded if it ends instead.
func Start(ctx context.Context, binary, config, token string, env ...string) (_ *Daemon, err error) {
	cmd := exec.Command(binary, "--config", config)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	d := &Daemon{cmd: cmd, log: filepath.Join(filepath.Dir(config), "log"), ended: make(chan struct{})}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the daemon: %w", err), log.Close())
	}
	d.PID = cmd.Process.Pid
	addr := make(chan string, 1)
	go func() {
		defer close(d.ended)
		defer log.Close()
		follow(stderr, log, addr)
	}()
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Stop())
		}
	}()
	select {
	case a := <-addr:
		d.Client, err = client.New(client.Config{Server: "http://" + a, Token: token})
		return d, err
	case <-d.ended:
		return nil, fmt.Errorf("%w: see %s", ErrEnded, d.log)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// follow copies the daemon's log, and tells the address when it serves.
func follow(r io.Reader, log io.Writer, addr chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Fprintln(log, lines.Text())
		if m := serving.FindStringSubmatch(lines.Text()); m != nil {
			addr <- m[1]
		}
	}
}

// Stop ends the daemon in order.
func (d *Daemon) Stop() error {
	if d.Client != nil {
		d.Client.Close()
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the daemon: %w", err)
	}
	kill := time.AfterFunc(stopTime, func() { _ = d.cmd.Process.Kill() }) // it may have ended just now
	defer kill.Stop()
	<-d.ended
	if err := d.cmd.Wait(); err != nil {
		return fmt.Errorf("stop the daemon: %w: see %s", err, d.log)
	}
	return nil
}
