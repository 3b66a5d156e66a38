package lab_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"quarantine/integration/lab"
)

// No two labs are given one port, whatever they have bound yet.
func TestPortsAreReservedOnce(t *testing.T) {
	t.Parallel()
	var ports [100]int
	for i := range ports {
		marks, err := lab.ReserveAll(&ports[i])
		if err != nil {
			t.Fatal(err)
		}
		defer lab.Release(marks)
	}
	seen := map[int]bool{}
	for _, p := range ports {
		if seen[p] {
			t.Errorf("port %d was given twice", p)
		}
		seen[p] = true
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			t.Errorf("port %d is not free: %v", p, err)
			continue
		}
		l.Close()
	}
}

// A lab's directory is its own: nothing of another's is in it.
func TestDirIsEmpty(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir, err := lab.Dir(filepath.Join(base, "a", "lab"), "x-")
	if info, serr := os.Stat(dir); err != nil || serr != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%s: %v, %v", dir, err, serr)
	}
	if again, err := lab.Dir(dir, "x-"); err != nil || again != dir {
		t.Errorf("an empty one: %s, %v", again, err)
	}
	if _, err := lab.Dir(filepath.Join(base, "a"), "x-"); err == nil {
		t.Error("one with a file in it was taken")
	}
	made, err := lab.Dir("", "x-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(made)
	if ok, _ := filepath.Match("x-*", filepath.Base(made)); !ok {
		t.Errorf("a new one is called %s", made)
	}
}
