package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	cephlab "quarantine/integration/ceph"
)

// machine is what the absolute numbers belong to.
type machine struct {
	cores                     int
	cpu, memory, kernel, ceph string
	loadAverage               string
}

func describeMachine(ctx context.Context, lab *cephlab.Lab) (machine, error) {
	m := machine{cores: runtime.NumCPU()}
	for name, to := range map[string]*string{"/proc/sys/kernel/osrelease": &m.kernel, "/proc/loadavg": &m.loadAverage} {
		b, err := os.ReadFile(name)
		if err != nil {
			return m, fmt.Errorf("describe the machine: %w", err)
		}
		*to = strings.TrimSpace(string(b))
	}
	var err error
	if m.cpu, err = procField("/proc/cpuinfo", "model name"); err != nil {
		return m, err
	}
	if m.memory, err = procField("/proc/meminfo", "MemTotal"); err != nil {
		return m, err
	}
	version, err := lab.Ceph(ctx, "version")
	if err != nil {
		return m, fmt.Errorf("ask for Ceph's version: %w", err)
	}
	m.ceph = strings.TrimSpace(version)
	return m, nil
}

// procField returns the value of the first line "name : value" of a file in
// /proc, or "unknown": not every processor has a model name there.
func procField(path, name string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("describe the machine: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v), nil
		}
	}
	return "unknown", nil
}

// String is a few lines for the head of the report.
func (m machine) String() string {
	return fmt.Sprintf(`machine       %d cores, %s
memory        %s
kernel        Linux %s
ceph          %s
load average  %s (at the start: 1, 5 and 15 minutes, runnable/all tasks, last pid)
`, m.cores, m.cpu, m.memory, m.kernel, m.ceph, m.loadAverage)
}
