package custody

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lockedFile is the log's file, which this process alone has open.
type lockedFile struct{ *os.File }

// Close gives up the lock and closes the file. Closing alone would not be
// enough: a child process that is just being started holds the file for a
// moment, and with it the lock.
func (f lockedFile) Close() error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.File.Close())
}

func openFile(path string) (lockedFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return lockedFile{}, unavailable(err, "open for writing")
	}
	if err := claim(f, path); err != nil {
		return lockedFile{}, errors.Join(err, f.Close())
	}
	return lockedFile{f}, nil
}

// claim makes sure that the file is a log for this process alone, and that its
// name survives a crash.
func claim(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return unavailable(err, "look at %s", path)
	}
	if !info.Mode().IsRegular() {
		return invalidf("%s is no regular file", path)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return busy(path)
	}
	if err != nil {
		return unavailable(err, "lock %s", path)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return unavailable(err, "open the directory")
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return unavailable(err, "make the names in %s durable", dir)
	}
	return nil
}
