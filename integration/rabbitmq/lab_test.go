package rabbitlab_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	rabbitlab "quarantine/integration/rabbitmq"
)

// ownerEnv makes this test binary the owner of a lab, to be killed.
const ownerEnv = "RABBITLAB_OWNER"

// A lab ends with the process that started it, even by SIGKILL: no process and
// no file is left. (The test runs itself as that process.)
func TestLabEndsWithItsOwner(t *testing.T) {
	if os.Getenv(ownerEnv) != "" {
		lab, err := rabbitlab.Start(t.Context(), rabbitlab.Options{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("lab in", lab.Dir)
		select {} // until it is killed
	}
	t.Parallel()
	owner := exec.Command(os.Args[0], "-test.run=^TestLabEndsWithItsOwner$", "-test.v")
	owner.Env = append(os.Environ(), ownerEnv+"=1")
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	dir := ""
	lines := bufio.NewScanner(out)
	for dir == "" && lines.Scan() {
		_, dir, _ = strings.Cut(lines.Text(), "lab in ")
	}
	if n := len(processesOf(t, dir)); dir != "" && n < 2 {
		t.Errorf("%d processes of the lab are found, want broker and port mapper at least", n)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // killed
	if dir == "" {
		t.Fatal("the owner did not start a lab")
	}
	eventually(t, "its processes are gone", func() bool { return len(processesOf(t, dir)) == 0 })
	eventually(t, "its directory is gone", func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	})
}

// processesOf lists the processes that have the directory as HOME.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err == nil && strings.Contains("\x00"+string(environ), "\x00HOME="+dir+"\x00") {
			found = append(found, file)
		}
	}
	return found
}
