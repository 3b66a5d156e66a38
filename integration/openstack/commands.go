package openstacklab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"quarantine/integration/openstack/supervisor"
)

// Virsh runs `virsh ARGS` on the lab's libvirt and returns its standard output.
func (l *Lab) Virsh(ctx context.Context, args ...string) (string, error) {
	uri := "qemu+unix:///system?socket=" + l.path("over/run/libvirt/libvirt-sock")
	return l.run(ctx, "", "virsh", append([]string{"-q", "-c", uri}, args...)...)
}

// sql runs statements as the services' database user, and returns the rows of
// the answers, one a line, with tabs between the columns.
func (l *Lab) sql(ctx context.Context, statements string) (string, error) {
	return l.run(ctx, statements, "mariadb", append(l.sqlArgs(), "--skip-column-names")...)
}

func (l *Lab) sqlArgs() []string {
	return []string{"--no-defaults", "-h127.0.0.1", "-P" + strconv.Itoa(l.site.Ports.Database), "-uopenstack", "-p" + password}
}

// run runs a program on the machine, not in the lab's namespaces: a client.
func (l *Lab) run(ctx context.Context, stdin, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	cmd.Env = l.environment()
	// Its own process group: a Ctrl-C on the terminal is for the lab's owner,
	// which then stops it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}

// inside runs a program to its end in the lab's namespaces.
func (l *Lab) inside(ctx context.Context, name string, args ...string) error {
	return l.ctl.Run(ctx, supervisor.Spec{Name: name, Args: args, Env: l.environment(), Output: l.path("log/" + name + ".out")})
}

// logTails returns the last lines of what the programs said, for an error
// message.
func (l *Lab) logTails() string {
	var out strings.Builder
	for _, pattern := range []string{"log/*.out", "log/*.log"} {
		logs, _ := filepath.Glob(l.path(pattern)) // the pattern is valid
		for _, name := range logs {
			b, err := os.ReadFile(name)
			if err != nil || len(b) == 0 {
				continue
			}
			lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
			lines = lines[max(0, len(lines)-4):]
			fmt.Fprintf(&out, "\n%s:\n%s", filepath.Base(name), bytes.Join(lines, []byte("\n")))
		}
	}
	return out.String()
}
