package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// highWater is the most memory that the process had, in megabytes.
func highWater(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("look at the daemon's memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read the daemon's memory: %w", err)
			}
			return float64(kib) * 1024 / 1e6, nil
		}
	}
	return 0, fmt.Errorf("the daemon's status has no VmHWM")
}

// tick is the unit of the times in /proc, the same on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpuTime is for how long the process has kept processors busy.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("look at the daemon's time: %w", err)
	}
	// Behind the name, which may have blanks, come state, ppid and so on; utime and
	// stime are the twelfth and the thirteenth (proc(5)).
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("the daemon's time does not parse: %q", b)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the daemon's time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}
