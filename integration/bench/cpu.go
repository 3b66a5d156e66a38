package main

import (
	"fmt"
	"syscall"
	"time"
)

// cpuTime is the processor time that this process has used so far, on all
// cores, in librbd's threads too.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("ask for the processor time used: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
