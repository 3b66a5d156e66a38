package rabbitlab

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// watchdogScript waits for the end of its standard input, which comes when the
// process that started the lab closes it or ends in any way. Then it kills what
// is left of the lab and removes its directory. The lab's processes, and the
// helpers that the broker starts, have the directory as their HOME.
const watchdogScript = `
read -r _
lab() { grep -lzxF "HOME=$1" /proc/[0-9]*/environ 2>/dev/null; }
while left=$(lab "$1"); [ -n "$left" ]; do
	for f in $left; do
		pid=${f#/proc/}
		kill -9 "${pid%/environ}" 2>/dev/null
	done
	sleep 0.05
done
rm -rf -- "$1"
`

// watchdog ends a lab whose owner died. A death signal would not do: Linux
// sends it when the thread ends that started the process, and Go's threads
// come and go.
type watchdog struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

func startWatchdog(dir string) (*watchdog, error) {
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "rabbitlab-watchdog", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the lab's watchdog: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the lab's watchdog: %w", err)
	}
	return &watchdog{cmd: cmd, pipe: pipe}, nil
}

// stop lets it clean up, and waits.
func (w *watchdog) stop() error {
	if err := errors.Join(w.pipe.Close(), w.cmd.Wait()); err != nil {
		return fmt.Errorf("end the lab's watchdog: %w", err)
	}
	return nil
}
