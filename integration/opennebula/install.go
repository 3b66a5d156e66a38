package frontend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Change is what was done to a file of the front-end, or would be.
type Change struct {
	Path string `json:"path"`
	// Act is one of the acts below.
	Act string `json:"act"`
	// Reason says why, where it is not plain.
	Reason string `json:"reason,omitempty"`
}

// The acts of a Change.
const (
	ActWrite    = "write"    // a file is written, new or in place of an older one of ours
	ActKeep     = "keep"     // a file that an operator may have changed stays as it is
	ActDivert   = "divert"   // dpkg is told that a package's file belongs beside ours
	ActUndivert = "undivert" // and told otherwise
	ActMove     = "move"     // an original script is put beside ours
	ActRestore  = "restore"  // and put back
	ActRemove   = "remove"   // a file of ours is removed
)

// Installer puts the files of this package on a front-end, and takes them away
// again. Each of its methods can be run again: what is as it should be is left
// alone.
type Installer struct {
	// Root is put before every path; empty: /.
	Root string
	// Dry: nothing is changed.
	Dry bool

	changes []Change
}

// ours is in every script of this package, of whatever version.
const ours = "QUARANTINE_CONF"

// Hooks installs the hook's script, the configuration where there is none, and
// the units that send what waits.
func (i *Installer) Hooks() ([]Change, error) {
	i.changes = nil
	err := errors.Join(
		i.write(HookPath, HookScript(), 0o755),
		i.writeOnce(ConfPath, Conf(), 0o644),
		i.write(DrainServicePath, DrainService(), 0o644),
		i.write(DrainTimerPath, DrainTimer(), 0o644),
	)
	return i.changes, err
}

// RemoveHooks takes the hook's script and the units away. The configuration and
// the spool stay.
func (i *Installer) RemoveHooks() ([]Change, error) {
	i.changes = nil
	err := errors.Join(i.remove(HookPath), i.remove(DrainServicePath), i.remove(DrainTimerPath))
	return i.changes, err
}

// Driver puts the wrapper in the way of the ceph drivers' scripts. The original
// stays beside it under its name and Distrib; where dpkg has installed it, dpkg
// is told so, and an upgrade then brings the new original to that name. Where an
// upgrade has put the original back (another package manager), Driver puts the
// wrapper before it again.
//
// At every moment there is a script at the path, because oned may run it: the
// original gets its second name first, and the wrapper takes the path over by a
// rename.
func (i *Installer) Driver(ctx context.Context) (_ []Change, err error) {
	i.changes = nil
	unlock, err := i.alone()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	for _, path := range []string{TMDeletePath, DatastoreRmPath} {
		if err := i.wrap(ctx, path); err != nil {
			return i.changes, err
		}
	}
	return i.changes, i.writeOnce(ConfPath, Conf(), 0o644)
}

func (i *Installer) wrap(ctx context.Context, path string) error {
	now, err := os.ReadFile(i.at(path))
	if err != nil {
		return fmt.Errorf("read the original driver: %w", err)
	}
	other, err := os.ReadFile(i.at(path + Distrib))
	beside := err == nil && !isOurs(other)
	switch {
	case isOurs(now) && !beside:
		return fmt.Errorf("%s is the wrapper, and the original %s is not there: reinstall OpenNebula's package", path, path+Distrib)
	case isOurs(now):
	case beside && diverted(ctx, i.at(path)):
		// A run was cut short: dpkg keeps the newest original there.
	default:
		if err := i.putAside(ctx, path, beside); err != nil {
			return err
		}
	}
	return i.write(path, DriverScript(), 0o755)
}

// putAside gives the original its second name.
func (i *Installer) putAside(ctx context.Context, path string, beside bool) error {
	if packaged(ctx, i.at(path)) {
		if err := i.divert(ctx, ActDivert, path, "--add"); err != nil {
			return err
		}
	}
	why := ""
	if beside {
		why = "an upgrade has put it back"
	}
	return i.act(Change{path + Distrib, ActMove, why}, func() error {
		tmp := i.at(path + Distrib + ".new")
		if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Link(i.at(path), tmp); err != nil {
			return err
		}
		return os.Rename(tmp, i.at(path+Distrib))
	})
}

// RemoveDriver puts the original scripts back.
func (i *Installer) RemoveDriver(ctx context.Context) (_ []Change, err error) {
	i.changes = nil
	unlock, err := i.alone()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	for _, path := range []string{TMDeletePath, DatastoreRmPath} {
		now, err := os.ReadFile(i.at(path))
		if err != nil {
			return i.changes, fmt.Errorf("read the driver: %w", err)
		}
		if isOurs(now) {
			if err := i.act(Change{path, ActRestore, ""}, func() error { return os.Rename(i.at(path+Distrib), i.at(path)) }); err != nil {
				return i.changes, err
			}
		}
		// Also of a run that was cut short.
		if diverted(ctx, i.at(path)) {
			if err := i.divert(ctx, ActUndivert, path, "--remove"); err != nil {
				return i.changes, err
			}
		}
	}
	return i.changes, nil
}

// alone keeps a second run away while the scripts change places: it would take
// the wrapper for the original.
func (i *Installer) alone() (unlock func() error, err error) {
	if i.Dry {
		return func() error { return nil }, nil
	}
	if _, err := os.Stat(i.at(TMDeletePath)); err != nil {
		return nil, fmt.Errorf("read the original driver: %w", err)
	}
	f, err := os.OpenFile(i.at(filepath.Dir(TMDeletePath))+"/.quarantine.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the drivers: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the drivers: %w: another run is under way", err), f.Close())
	}
	return f.Close, nil
}

func isOurs(script []byte) bool { return bytes.Contains(script, []byte(ours)) }

func (i *Installer) at(path string) string { return filepath.Join("/", i.Root, path) }

// act notes the change and, unless the run is dry, makes it.
func (i *Installer) act(c Change, do func() error) error {
	if !i.Dry {
		if err := do(); err != nil {
			return fmt.Errorf("%s %s: %w", c.Act, c.Path, err)
		}
	}
	i.changes = append(i.changes, c)
	return nil
}

// write makes the file have the content, by a rename.
func (i *Installer) write(path, content string, mode os.FileMode) error {
	to := i.at(path)
	if now, err := os.ReadFile(to); err == nil && string(now) == content {
		return nil
	}
	return i.act(Change{path, ActWrite, ""}, func() error {
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		tmp := to + ".new"
		if err := os.WriteFile(tmp, []byte(content), mode); err != nil {
			return err
		}
		if err := os.Chmod(tmp, mode); err != nil { // whatever the umask is
			return err
		}
		return os.Rename(tmp, to)
	})
}

// writeOnce is write for a file that is the operator's from then on.
func (i *Installer) writeOnce(path, content string, mode os.FileMode) error {
	_, err := os.Lstat(i.at(path))
	if err == nil {
		i.changes = append(i.changes, Change{path, ActKeep, "it is there"})
		return nil
	}
	return i.write(path, content, mode)
}

func (i *Installer) remove(path string) error {
	if _, err := os.Lstat(i.at(path)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return i.act(Change{path, ActRemove, ""}, func() error { return os.Remove(i.at(path)) })
}

// divert has dpkg know where the package's file belongs. It moves nothing
// itself: it would leave a moment without a script at the path.
func (i *Installer) divert(ctx context.Context, act, path, what string) error {
	return i.act(Change{path, act, ""}, func() error {
		out, err := exec.CommandContext(ctx, "dpkg-divert", "--local", "--no-rename", "--divert", i.at(path+Distrib), what, i.at(path)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("dpkg-divert: %w: %s", err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}

// packaged reports whether dpkg has installed the file.
func packaged(ctx context.Context, path string) bool {
	return exec.CommandContext(ctx, "dpkg-query", "--search", path).Run() == nil
}

// diverted reports whether dpkg knows a diversion of the file.
func diverted(ctx context.Context, path string) bool {
	out, err := exec.CommandContext(ctx, "dpkg-divert", "--list", path).Output()
	return err == nil && len(bytes.TrimSpace(out)) > 0
}
