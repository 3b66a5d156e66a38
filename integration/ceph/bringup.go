package cephlab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"quarantine/integration/lab"
	"strings"
	"sync"
	"time"
)

// bringUp makes the stores and starts the daemons. What does not depend on
// each other runs side by side: the stores of monitor and OSD are made
// together, and manager and OSD start while the monitor makes the pools.
func (l *Lab) bringUp(ctx context.Context, o Options) error {
	for _, d := range []string{"mon", "mgr", "osd", "run", "log", "keyrings"} {
		if err := os.MkdirAll(filepath.Join(l.Dir, d), 0o700); err != nil {
			return fmt.Errorf("make the lab's directories: %w", err)
		}
	}
	// The monitor's port must be known before it starts. OSD and manager bind,
	// and try the next port.
	port, mark, err := lab.Reserve()
	if err != nil {
		return err
	}
	defer mark.Close() // the monitor has bound it then
	if err := writeKeys(l.Dir, keys(o.Pools)); err != nil {
		return err
	}
	if err := os.WriteFile(l.Conf, []byte(config(l.Dir, l.FSID, port, o.Delay)), 0o600); err != nil {
		return fmt.Errorf("write ceph.conf: %w", err)
	}
	if err := l.writePools(o.Pools); err != nil {
		return err
	}
	if err := writeModules(filepath.Join(l.Dir, "modules")); err != nil {
		return err
	}
	monmap := filepath.Join(l.Dir, "monmap")
	if _, err := l.run(ctx, "monmaptool", "--create", "--fsid", l.FSID, "--addv", "a", fmt.Sprintf("[v2:127.0.0.1:%d]", port), monmap); err != nil {
		return err
	}
	osdUUID := newUUID()
	err = together(
		func() error {
			if _, err := l.run(ctx, "ceph-mon", "-c", l.Conf, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", filepath.Join(l.Dir, "keyrings", "all")); err != nil {
				return err
			}
			if err := l.launch(ctx, "mon"); err != nil {
				return err
			}
			return l.script(ctx, "osd new "+osdUUID)
		},
		func() error {
			_, err := l.run(ctx, "ceph-osd", "-c", l.Conf, "-i", "0", "--mkfs", "--osd-uuid", osdUUID, "--monmap", monmap)
			return err
		})
	if err != nil {
		return err
	}
	commands := []string{"osd set-require-min-compat-client mimic"}
	for _, p := range o.Pools {
		commands = append(commands, "osd pool create "+p+" 8 8 replicated", "osd pool application enable "+p+" rbd")
	}
	err = together(
		func() error { return l.launch(ctx, "mgr") },
		func() error { return l.launch(ctx, "osd") },
		func() error { return l.script(ctx, commands...) })
	if err != nil {
		return err
	}
	var inits []func() error
	for _, p := range o.Pools {
		inits = append(inits, func() error { return l.initPool(ctx, p) })
	}
	if err := together(inits...); err != nil {
		return err
	}
	if err := l.setCommitInterval(ctx, cmp.Or(o.CommitInterval, time.Second)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.Dir, marker), []byte(l.FSID+"\n"), 0o600); err != nil {
		return fmt.Errorf("mark the lab as running: %w", err)
	}
	return nil
}

// setCommitInterval sets how often the running monitor commits. `ceph` takes
// "tell" as an argument only, not in a script.
func (l *Lab) setCommitInterval(ctx context.Context, interval time.Duration) error {
	set := func(option string, d time.Duration) func() error {
		return func() error {
			_, err := l.Ceph(ctx, "tell", "mon.a", "config", "set", option, fmt.Sprint(d.Seconds()))
			return err
		}
	}
	return together(set("paxos_propose_interval", interval), set("paxos_min_wait", min(50*time.Millisecond, interval)))
}

// script gives several commands to one `ceph` process: starting it costs more
// than most commands. The process goes on after an error and ends with 0, so
// its standard error tells.
func (l *Lab) script(ctx context.Context, commands ...string) error {
	_, stderr, err := l.exec(ctx, strings.Join(commands, "\n")+"\n", "ceph", "-c", l.Conf)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(stderr, "\n") {
		if strings.HasPrefix(line, "Error ") || strings.Contains(line, "Invalid command") || strings.HasPrefix(line, "Can not use") {
			return fmt.Errorf("%w: %s: %s", errCommand, strings.Join(commands, "; "), line)
		}
	}
	return nil
}

var errCommand = errors.New("ceph refused a command")

// together runs the functions side by side and waits for all.
func together(fs ...func() error) error {
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
