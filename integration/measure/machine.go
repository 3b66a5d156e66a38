package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	cephlab "quarantine/integration/ceph"
)

// Machine is what the absolute numbers belong to.
type Machine struct {
	cores             int
	cpu, kernel, ceph string
	memory            int64 // bytes
	loadAverage       string
	// CommitInterval is that of the lab's monitor, which seals and their
	// removal wait for.
	CommitInterval time.Duration
}

// Describe looks at the machine and at the lab's Ceph.
func Describe(ctx context.Context, lab *cephlab.Lab) (Machine, error) {
	m := Machine{cores: runtime.NumCPU()}
	var err error
	if m.cpu, err = procField("/proc/cpuinfo", "model name"); err != nil {
		return m, err
	}
	total, err := procField("/proc/meminfo", "MemTotal")
	if err != nil {
		return m, err
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(total, " kB"), 10, 64)
	if err != nil {
		return m, fmt.Errorf("read the machine's memory: %w", err)
	}
	m.memory = kib << 10
	for path, to := range map[string]*string{"/proc/sys/kernel/osrelease": &m.kernel, "/proc/loadavg": &m.loadAverage} {
		b, err := os.ReadFile(path)
		if err != nil {
			return m, fmt.Errorf("describe the machine: %w", err)
		}
		*to = strings.TrimSpace(string(b))
	}
	version, err := lab.Ceph(ctx, "version")
	if err != nil {
		return m, fmt.Errorf("ask for Ceph's version: %w", err)
	}
	m.ceph = strings.TrimSpace(version)
	m.CommitInterval, err = commitInterval(ctx, lab)
	return m, err
}

func commitInterval(ctx context.Context, lab *cephlab.Lab) (time.Duration, error) {
	const option = "paxos_propose_interval"
	out, err := lab.Ceph(ctx, "tell", "mon.a", "config", "get", option)
	if err != nil {
		return 0, fmt.Errorf("ask for the monitor's commit interval: %w", err)
	}
	var values map[string]string
	if err := json.Unmarshal([]byte(out), &values); err != nil {
		return 0, fmt.Errorf("read the monitor's commit interval from %q: %w", out, err)
	}
	seconds, err := strconv.ParseFloat(values[option], 64)
	if err != nil {
		return 0, fmt.Errorf("read the monitor's commit interval from %q: %w", out, err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
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
func (m Machine) String() string {
	return fmt.Sprintf(`machine       %d cores, %s
memory        %.1f GiB
kernel        Linux %s
ceph          %s, monitor commits every %s
load average  %s (at the start: 1, 5 and 15 minutes, runnable/all tasks, last pid)
`, m.cores, m.cpu, float64(m.memory)/(1<<30), m.kernel, m.ceph, m.CommitInterval, m.loadAverage)
}
