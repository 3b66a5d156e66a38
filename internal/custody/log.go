package custody

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"

	"quarantine/internal/quarantine"
)

// Log is the open custody log. Its methods may be called by many goroutines.
type Log struct {
	path  string
	log   *slog.Logger
	clock quarantine.Clock
	file  file

	queue chan *request
	done  chan struct{}
	// handing is held for reading while a request is put into the queue, so
	// that Close does not close the queue under it.
	handing sync.RWMutex
	closed  bool

	// mu guards what follows. Only the goroutine that writes changes it, but
	// for fault, which a reader may find.
	mu   sync.RWMutex
	head head
	size int64 // bytes that are durable and belong to the chain
	// last is the offset of each disk's last line. The key is a hash of the
	// disk's id: a stranger among a disk's lines is passed over when reading.
	last  map[uint64]int64
	fault *FaultError // the damage; nil while the chain holds

	seed maphash.Seed
	// writing is held while the file and size differ.
	writing sync.Mutex
	tail    tail  // what is in the file after size
	dead    error // why nothing can be written until the log is opened again
}

// file is what the log needs of its file. It is an interface for the tests, in
// which it fails.
type file interface {
	io.Writer
	io.ReaderAt
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

var (
	_ quarantine.Custodian     = (*Log)(nil)
	_ quarantine.CustodyReader = (*Log)(nil)
)

// Open opens the log at the path, which it makes (readable by its owner only)
// if it is not there; the directory must exist. It reads the whole file once,
// to check the chain and to find each disk's last line. A damaged log opens;
// see Log.Append. The error wraps ErrBusy if another process has the log open,
// ErrInvalid if the path is no regular file, and ErrUnavailable if it cannot be
// read or written. clock dates the entries that bear no time.
func Open(path string, log *slog.Logger, clock quarantine.Clock) (*Log, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, unavailable(err, "find %s", path)
	}
	f, err := openFile(abs)
	if err != nil {
		return nil, err
	}
	l, err := start(abs, f, log, clock)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// start reads the file and begins to take entries.
func start(path string, f file, log *slog.Logger, clock quarantine.Clock) (*Log, error) {
	l := &Log{
		path: path, log: log, clock: clock, file: f,
		queue: make(chan *request, maxBatch), done: make(chan struct{}),
		last: map[uint64]int64{}, seed: maphash.MakeSeed(),
	}
	if err := l.load(); err != nil {
		return nil, err
	}
	go l.write()
	return l, nil
}

// load checks the chain and fills the index. A torn last line is put aside,
// unless the log is damaged: then nobody touches it.
func (l *Log) load() error {
	info, err := l.file.Stat()
	if err != nil {
		return unavailable(err, "look at %s", l.path)
	}
	h, end, fault, err := walk(context.Background(), l.file, l.path, info.Size(), func(offset int64, x *line) error {
		disk, err := diskOf(x.entry)
		if err != nil {
			return err
		}
		l.last[maphash.Bytes(l.seed, disk)] = offset
		return nil
	})
	if err != nil {
		return unavailable(err, "read %s", l.path)
	}
	l.head, l.size, l.fault = h, end, fault
	if fault != nil {
		l.log.Error("the custody log is damaged: acts that need it are refused", "path", l.path, "line", fault.Seq, "offset", fault.Offset, "error", fault)
		return nil
	}
	if info.Size() > end {
		l.tail = torn
		if err := l.tidy(); err != nil {
			// Capture must go on. Each Append tries again.
			l.log.Error("the custody log's torn last line cannot be put aside", "path", l.path, "error", err)
		}
	}
	return nil
}

// Head returns the number of the last line and its hash, in hex: 0 and 64
// zeros of an empty log. Of a damaged log it is the last line before the
// damage. A copy of it kept elsewhere shows whether the file was rewritten or
// cut short up to that line.
func (l *Log) Head() (seq uint64, hash string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.head.seq, l.head.hash
}

// Close writes the entries that wait, and closes the file. Later calls of
// Append fail with ErrUnavailable.
func (l *Log) Close() error {
	l.handing.Lock()
	again := l.closed
	if !again {
		l.closed = true
		close(l.queue)
	}
	l.handing.Unlock()
	<-l.done
	if again {
		return nil
	}
	if err := l.file.Close(); err != nil {
		return unavailable(err, "close %s", l.path)
	}
	return nil
}
