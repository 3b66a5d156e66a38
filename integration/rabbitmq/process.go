package rabbitlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// process is a program of the lab, in the foreground.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it is gone
}

func startProcess(env []string, output, name string, args ...string) (*process, error) {
	out, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close() // the program has its own
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended does not matter
	}()
	return p, nil
}

// signal sends it a signal.
func (p *process) signal(s syscall.Signal) error {
	if p == nil {
		return os.ErrProcessDone
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, p.cmd.Path, err)
	}
	return nil
}

// end sends a signal and waits until the process is gone. One that is gone
// already is fine.
func (p *process) end(s syscall.Signal) error {
	if p == nil {
		return nil
	}
	if err := p.signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return nil
}
