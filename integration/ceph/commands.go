package cephlab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// CommandError is a Ceph program that ended with an error.
type CommandError struct {
	Args []string
	// Status is the exit status, Ceph's errno (1 EPERM, 2 ENOENT, 16 EBUSY,
	// 39 ENOTEMPTY …) or 1 for much else; -1 if it was killed.
	Status int
	Stderr string
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: exit status %d: %s", strings.Join(e.Args, " "), e.Status, strings.TrimSpace(e.Stderr))
}

// Ceph runs `ceph ARGS` as client.admin and returns its standard output. A
// *CommandError if it fails.
func (l *Lab) Ceph(ctx context.Context, args ...string) (string, error) {
	return l.run(ctx, "ceph", append([]string{"-c", l.Conf}, args...)...)
}

// CephAs is Ceph as another user.
func (l *Lab) CephAs(ctx context.Context, user string, args ...string) (string, error) {
	return l.run(ctx, "ceph", append([]string{"-c", l.Conf, "--id", user}, args...)...)
}

// RBD runs `rbd ARGS` as the user.
func (l *Lab) RBD(ctx context.Context, user string, args ...string) (string, error) {
	return l.run(ctx, "rbd", append([]string{"-c", l.Conf, "--id", user}, args...)...)
}

// Rados runs `rados ARGS` as the user.
func (l *Lab) Rados(ctx context.Context, user string, args ...string) (string, error) {
	return l.run(ctx, "rados", append([]string{"-c", l.Conf, "--id", user}, args...)...)
}

// OSDMapEpoch returns the epoch of the OSD map.
func (l *Lab) OSDMapEpoch(ctx context.Context) (int, error) {
	out, err := l.Ceph(ctx, "osd", "stat", "-f", "json")
	if err != nil {
		return 0, err
	}
	var stat struct {
		Epoch int `json:"epoch"`
	}
	if err := json.Unmarshal([]byte(out), &stat); err != nil {
		return 0, fmt.Errorf("read the OSD map's epoch from %q: %w", out, err)
	}
	return stat.Epoch, nil
}

func (l *Lab) run(ctx context.Context, program string, args ...string) (string, error) {
	out, _, err := l.exec(ctx, "", program, args...)
	return out, err
}

// exec runs a program. A program that daemonizes leaves its standard streams
// closed, so that waiting for their end does not wait for the daemon.
func (l *Lab) exec(ctx context.Context, stdin, program string, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	// Its own process group: a Ctrl-C on the terminal is for the test, which
	// then stops the lab in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || ctx.Err() != nil {
			return out.String(), errOut.String(), fmt.Errorf("run %s: %w", program, errors.Join(err, ctx.Err()))
		}
		return out.String(), errOut.String(), &CommandError{Args: append([]string{program}, args...), Status: exit.ExitCode(), Stderr: errOut.String()}
	}
	return out.String(), errOut.String(), nil
}
