package custody

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"

	"quarantine/internal/quarantine"
)

// maxBatch is how many waiting entries share one fsync at most.
const maxBatch = 256

type request struct {
	ctx   context.Context
	entry quarantine.Entry
	err   chan error
}

// Append writes the entry and returns nil when it is durable. An entry without
// a time gets the clock's. A context that ends before the entry's turn stops
// it; later the answer, which is certain, is waited for.
//
// The error wraps ErrRefused and the FaultError if the log is damaged;
// ErrInvalid if the entry cannot be written as a line; ErrUnavailable if the
// disk does not take it (full, broken) or the log is closed. After an error the
// entry is not in the log, except that a crash at that moment may leave it.
func (l *Log) Append(ctx context.Context, e quarantine.Entry) error {
	r := &request{ctx: ctx, entry: e, err: make(chan error, 1)}
	if err := l.hand(r); err != nil {
		return err
	}
	return <-r.err
}

func (l *Log) hand(r *request) error {
	l.handing.RLock()
	defer l.handing.RUnlock()
	if l.closed {
		return unavailable(errClosed, "append to %s", l.path)
	}
	select {
	case l.queue <- r:
		return nil
	case <-r.ctx.Done():
		return unavailable(r.ctx.Err(), "wait to append")
	}
}

// write is the only goroutine that writes. It ends when the queue is closed
// and empty.
func (l *Log) write() {
	defer close(l.done)
	for first := range l.queue {
		l.commit(l.gather(first))
	}
}

// gather takes what waits, without waiting for more.
func (l *Log) gather(first *request) []*request {
	batch := []*request{first}
	for len(batch) < maxBatch {
		select {
		case r, ok := <-l.queue:
			if !ok {
				return batch
			}
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// commit writes a batch and answers each of its callers.
func (l *Log) commit(batch []*request) {
	var b growth
	var written []*request
	b.head, b.size, b.last = l.head, l.size, map[uint64]int64{}
	for _, r := range batch {
		if err := r.ctx.Err(); err != nil {
			r.err <- unavailable(err, "wait to append")
		} else if err := l.add(&b, r.entry); err != nil {
			r.err <- err
		} else {
			written = append(written, r)
		}
	}
	if len(written) == 0 {
		return
	}
	err := l.put(&b)
	for _, r := range written {
		r.err <- err
	}
}

// growth is what a batch adds to the log, and the state after it.
type growth struct {
	buf  []byte
	head head
	size int64
	last map[uint64]int64
}

func (l *Log) add(b *growth, e quarantine.Entry) error {
	if e.At.IsZero() {
		e.At = l.clock()
	}
	entry, err := encodeEntry(e)
	if err != nil {
		return err
	}
	// By the bytes that were written, as the next Open will see them.
	disk, err := diskOf(entry)
	if err != nil {
		return invalidf("entry %q of disk %q cannot be read back: %v", e.Act, e.Disk, err)
	}
	key := maphash.Bytes(l.seed, disk)
	back, ok := b.last[key]
	if !ok {
		if back, ok = l.last[key]; !ok {
			back = noLine
		}
	}
	before := len(b.buf)
	b.buf, b.head = appendLine(b.buf, b.head, back, entry)
	b.last[key] = b.size
	b.size += int64(len(b.buf) - before)
	return nil
}

// put makes the batch durable, or leaves the log as it was.
func (l *Log) put(b *growth) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.ready(); err != nil {
		return err
	}
	if _, err := l.file.Write(b.buf); err != nil {
		l.tail = leftover
		return errors.Join(unavailable(err, "write to %s", l.path), l.tidy())
	}
	if err := l.file.Sync(); err != nil {
		// The kernel may have dropped what it could not write, and would say
		// "written" if it were asked again.
		l.dead = unavailable(err, "make %s durable; what is on the disk is not known, so nothing is written until the log is opened again", l.path)
		l.tail = leftover
		return errors.Join(l.dead, l.tidy())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head, l.size = b.head, b.size
	for key, offset := range b.last {
		l.last[key] = offset
	}
	return nil
}

// ready returns why nothing may be written now, or nil.
func (l *Log) ready() error {
	if l.dead != nil {
		return l.dead
	}
	if err := l.tidy(); err != nil {
		return err
	}
	if err := l.unchanged(); err != nil {
		return err
	}
	if fault := l.damage(); fault != nil {
		return fmt.Errorf("%w: nothing can be added: %w", quarantine.ErrRefused, fault)
	}
	return nil
}

// unchanged finds out whether another program wrote to the file, cut it, or
// put another in its place. The caller holds writing.
func (l *Log) unchanged() error {
	info, err := l.file.Stat()
	if err != nil {
		return unavailable(err, "look at %s", l.path)
	}
	named, err := os.Stat(l.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return unavailable(err, "look at %s", l.path)
	}
	switch {
	case err != nil || !os.SameFile(info, named):
		l.damaged(0, "the file was moved away or removed while it was open")
	case info.Size() != l.size:
		l.damaged(l.size, fmt.Sprintf("another program changed the file: its size is %d bytes", info.Size()))
	}
	return nil
}

// damage is the first fault that was found, or nil.
func (l *Log) damage() *FaultError {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.fault
}

// damaged remembers a fault; the first one stays.
func (l *Log) damaged(offset int64, reason string) *FaultError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == nil {
		l.fault = &FaultError{Path: l.path, Offset: offset, Seq: l.head.seq + 1, Reason: reason}
	}
	return l.fault
}
