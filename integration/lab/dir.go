package lab

import (
	"fmt"
	"os"
	"path/filepath"
)

// Dir makes a lab's directory, readable to its owner only, and returns its
// absolute path: dir, which must be empty if it is there, or where dir is "" a
// new one whose name begins with prefix.
func Dir(dir, prefix string) (string, error) {
	const what = "make the lab's directory: %w"
	if dir == "" {
		d, err := os.MkdirTemp("", prefix)
		if err != nil {
			return "", fmt.Errorf(what, err)
		}
		dir = d
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf(what, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf(what, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf(what, err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("the lab's directory %s is not empty", dir)
	}
	return dir, nil
}
