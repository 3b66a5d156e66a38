package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec is a program to run.
type Spec struct {
	// Name is how it is spoken of; one of a name runs at a time.
	Name string
	// Args are the program's path and its arguments.
	Args []string
	Env  []string
	// Output is the file to which what it says is appended.
	Output string
}

// process is a running program.
type process struct {
	pid    int
	done   chan struct{} // closed when it has ended
	status syscall.WaitStatus
}

// processes are the programs of the lab. The supervisor is the parent of all
// processes of its namespace that have lost theirs, so it waits for any child
// and not, as os/exec does, for each by itself.
type processes struct {
	mu      sync.Mutex
	byName  map[string]*process
	byPID   map[int]*process
	refused bool // no more starts: the end has begun
}

var errEnding = errors.New("the lab is ending")

// start runs the program, unless one of its name runs already.
func (ps *processes) start(s Spec) (*process, error) {
	if len(s.Args) == 0 || s.Name == "" {
		return nil, fmt.Errorf("start %q: no program", s.Name)
	}
	in, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	defer in.Close()
	out, err := os.OpenFile(s.Output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	defer out.Close()
	// Locked until the process is known, so that its end is not missed.
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.refused {
		return nil, fmt.Errorf("start %s: %w", s.Name, errEnding)
	}
	if p := ps.byName[s.Name]; p != nil {
		return p, nil
	}
	started, err := os.StartProcess(s.Args[0], s.Args, &os.ProcAttr{
		Dir: "/", Env: s.Env, Files: []*os.File{in, out, out}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	p := &process{pid: started.Pid, done: make(chan struct{})}
	ps.byName[s.Name], ps.byPID[p.pid] = p, p
	return p, started.Release()
}

// run runs the program to its end. Nothing of its name must run.
func (ps *processes) run(s Spec) error {
	if ps.find(s.Name) != nil {
		return fmt.Errorf("run %s: it runs already", s.Name)
	}
	p, err := ps.start(s)
	if err != nil {
		return err
	}
	<-p.done
	if p.status != 0 {
		return fmt.Errorf("run %s: status %d, signal %d", s.Name, p.status.ExitStatus(), p.status.Signal())
	}
	return nil
}

// reap takes the exit statuses of all that has ended by now, and reports
// whether children are left.
func (ps *processes) reap() bool {
	for {
		ps.mu.Lock()
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if p := ps.byPID[pid]; err == nil && p != nil {
			p.status = status
			close(p.done)
			delete(ps.byPID, pid)
			for name, q := range ps.byName {
				if q == p {
					delete(ps.byName, name)
				}
			}
		}
		ps.mu.Unlock()
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return false
		case pid <= 0:
			return true
		}
	}
}

func (ps *processes) find(name string) *process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.byName[name]
}

// running returns the names of what runs, with the process numbers within the
// namespace.
func (ps *processes) running() map[string]int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	names := map[string]int{}
	for name, p := range ps.byName {
		names[name] = p.pid
	}
	return names
}

// signal sends the signal to the program and all that it started and that is
// still below it.
func (ps *processes) signal(name string, s syscall.Signal) error {
	p := ps.find(name)
	if p == nil {
		return fmt.Errorf("send %s to %s: %w", s, name, os.ErrProcessDone)
	}
	var errs []error
	for _, pid := range tree(p.pid) {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("send %s to %s: %w", s, name, err))
		}
	}
	return errors.Join(errs...)
}

// stop sends the program a signal and, when it has not ended after the grace
// time, kills it; what it leaves of the processes below it is killed in any
// case. One that does not run is fine.
func (ps *processes) stop(name string, s syscall.Signal, grace time.Duration) error {
	p := ps.find(name)
	if p == nil {
		return nil
	}
	all := tree(p.pid)
	if err := syscall.Kill(p.pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %s to %s: %w", s, name, err)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	// The numbers are not given away again so soon: they only grow until the
	// namespace has used 32768 of them.
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already, most
	}
	<-p.done
	return nil
}

// tree returns a process and all below it.
func tree(pid int) []int {
	all := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is valid
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // ended
		}
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(all, tree(child)...)
			}
		}
	}
	return all
}
