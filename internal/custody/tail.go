package custody

import (
	"errors"
	"io"
	"os"
)

// tail is what is in the file after the last line of the chain.
type tail int

const (
	clean    tail = iota // nothing
	leftover             // what a failed write left; its writers were told
	torn                 // a line that a crash cut short
)

// tornSuffix ends the name of the file that keeps torn lines.
const tornSuffix = ".torn"

// tidy cuts off what follows the last line. It may be called again after an
// error.
func (l *Log) tidy() error {
	if l.tail == clean {
		return nil
	}
	if l.tail == torn {
		if err := l.keepTorn(); err != nil {
			return err
		}
		l.tail = leftover // kept once is enough
	}
	if err := l.file.Truncate(l.size); err != nil {
		return unavailable(err, "cut an incomplete line off %s at byte %d", l.path, l.size)
	}
	l.tail = clean
	return nil
}

// keepTorn copies the torn line to a file beside the log.
func (l *Log) keepTorn() error {
	info, err := l.file.Stat()
	if err != nil {
		return unavailable(err, "look at %s", l.path)
	}
	aside := l.path + tornSuffix
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return unavailable(err, "keep the torn last line of %s", l.path)
	}
	_, err = io.Copy(f, io.NewSectionReader(l.file, l.size, info.Size()-l.size))
	if err == nil {
		_, err = f.WriteString("\n")
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return unavailable(err, "keep the torn last line of %s in %s", l.path, aside)
	}
	l.log.Warn("the custody log's last line was cut short by a crash and is put aside; nobody had been told that it was written",
		"path", l.path, "offset", l.size, "bytes", info.Size()-l.size, "kept", aside)
	return nil
}
