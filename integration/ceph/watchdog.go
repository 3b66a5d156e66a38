package cephlab

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// watchdogScript waits for the end of its standard input, which comes when the
// process that started the lab closes it or ends in any way, then kills what
// is left of the lab. It is a shell so that it needs no binary of ours, and
// reads the process's command line so that a number that was given to another
// process meanwhile is left alone.
const watchdogScript = `
read -r _
for f in "$1"/run/*.pid; do
	pid=$(cat "$f" 2>/dev/null) || continue
	if tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$1/ceph.conf"; then
		kill -9 "$pid"
		while tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$1/ceph.conf"; do sleep 0.05; done
	fi
done
if [ "$2" = remove ]; then rm -rf -- "$1"; fi
`

// watchdog ends a lab whose owner died. A death signal would not do: Linux
// sends it when the thread ends that started the process, and Go's threads
// come and go.
type watchdog struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

func startWatchdog(dir string, keep bool) (*watchdog, error) {
	after := "remove"
	if keep {
		after = "keep"
	}
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "cephlab-watchdog", dir, after)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's Ctrl-C is not for it
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the lab's watchdog: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the lab's watchdog: %w", err)
	}
	return &watchdog{cmd: cmd, pipe: pipe}, nil
}

// stop ends the watchdog, after the daemons are gone.
func (w *watchdog) stop() error {
	if err := errors.Join(w.pipe.Close(), w.cmd.Wait()); err != nil {
		return fmt.Errorf("end the lab's watchdog: %w", err)
	}
	return nil
}
