package supervisor

import (
	"fmt"
	"os"
	"syscall"
)

// mount makes the namespace the lab's own. It must be a new one already.
func mount(mounts []Mount) error {
	// Nothing that is mounted from here on gets out.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, m := range mounts {
		info, err := os.Stat(m.Source)
		if err != nil {
			return fmt.Errorf("mount over %s: %w", m.Target, err)
		}
		if info.IsDir() {
			if err := os.MkdirAll(m.Target, 0o755); err != nil {
				return fmt.Errorf("mount over %s: %w", m.Target, err)
			}
		}
		if err := syscall.Mount(m.Source, m.Target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s over %s: %w", m.Source, m.Target, err)
		}
	}
	return nil
}
