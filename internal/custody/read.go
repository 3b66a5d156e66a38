package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"quarantine/internal/quarantine"
)

// Entries returns a disk's entries, oldest first; none if the log has none of
// it. It reads the lines of this disk only, and checks their hashes and that
// the lines beside them link to them. If the log is damaged it returns what
// can still be read together with a FaultError. ErrUnavailable if the file
// cannot be read.
func (l *Log) Entries(ctx context.Context, disk string) ([]quarantine.Entry, error) {
	if fault := l.damage(); fault != nil {
		return l.salvage(ctx, disk, fault)
	}
	l.mu.RLock()
	h, size := l.head, l.size
	offset, ok := l.last[maphash.String(l.seed, disk)]
	l.mu.RUnlock()
	if !ok {
		return nil, nil
	}
	var entries []quarantine.Entry
	for before := size; offset != noLine; {
		if err := ctx.Err(); err != nil {
			return nil, unavailable(err, "read the entries of disk %s", disk)
		}
		if offset < 0 || offset >= before {
			return l.salvage(ctx, disk, l.damaged(before, fmt.Sprintf("it points back to byte %d", offset)))
		}
		x, err := l.linked(offset, size, h)
		if err != nil {
			if errors.Is(err, quarantine.ErrUnavailable) {
				return nil, err
			}
			return l.salvage(ctx, disk, l.damaged(offset, err.Error()))
		}
		e, err := decodeEntry(x.entry)
		if err != nil {
			return l.salvage(ctx, disk, l.damaged(offset, err.Error()))
		}
		if e.Disk == disk {
			entries = append(entries, e)
		}
		before, offset = offset, x.back
	}
	slices.Reverse(entries)
	return entries, nil
}

// linked reads the line at the offset and checks it and its links to the line
// before and the line after, of a log that has this size and head.
func (l *Log) linked(offset, size int64, h head) (line, error) {
	raw, err := lineAt(l.file, offset, size)
	if err != nil {
		return line{}, l.readFault(err)
	}
	x, err := decodeLine(raw)
	if err != nil {
		return line{}, err
	}
	prev, err := l.hashBefore(offset)
	if err != nil {
		return line{}, err
	}
	if !bytes.Equal(x.prev, prev) {
		return line{}, errors.New("it does not follow the line before it")
	}
	after := offset + int64(len(raw)) + 1
	if after == size {
		if x.seq != h.seq || string(x.hash) != h.hash {
			return line{}, errors.New("it is not the line that was written last")
		}
		return x, nil
	}
	raw, err = lineAt(l.file, after, size)
	if err != nil {
		return line{}, l.readFault(err)
	}
	next, err := decodeLine(raw)
	if err != nil {
		return line{}, fmt.Errorf("of the line after it: %w", err)
	}
	if _, err := next.follow(head{seq: x.seq, hash: string(x.hash)}); err != nil {
		return line{}, fmt.Errorf("of the line after it: %w", err)
	}
	return x, nil
}

// readFault tells what was read and does not fit from what could not be read.
func (l *Log) readFault(err error) error {
	if errors.Is(err, errShape) {
		return err
	}
	return unavailable(err, "read %s", l.path)
}

// hashBefore is the hash that ends the line before the offset.
func (l *Log) hashBefore(offset int64) ([]byte, error) {
	if offset == 0 {
		return []byte(genesis.hash), nil
	}
	n := int64(hashLen + len(partEnd) + 1)
	if offset < n {
		return nil, errShape
	}
	buf := make([]byte, n)
	if err := readAt(l.file, buf, offset-n); err != nil {
		return nil, l.readFault(err)
	}
	return buf[:hashLen], nil
}

// salvage reads the whole file for lines about the disk that are whole in
// themselves, and returns them with the fault.
func (l *Log) salvage(ctx context.Context, disk string, fault *FaultError) ([]quarantine.Entry, error) {
	info, err := l.file.Stat()
	if err != nil {
		return nil, errors.Join(fault, unavailable(err, "look at %s", l.path))
	}
	var entries []quarantine.Entry
	_, err = scan(ctx, l.file, info.Size(), func(_ int64, raw []byte) error {
		x, err := decodeLine(raw)
		if err != nil {
			return nil // a fault has been found already; the rest may be whole
		}
		if e, err := decodeEntry(x.entry); err == nil && e.Disk == disk {
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		return entries, errors.Join(fault, unavailable(err, "read %s", l.path))
	}
	return entries, fault
}

// Verify reads the whole file and checks every line, and that the last one is
// the one that this process wrote or found last. The error is a FaultError if
// the log is damaged, and from then on Append refuses; ErrUnavailable if the
// file could not be read to its end. Entries may be appended meanwhile; they
// are not looked at.
func (l *Log) Verify(ctx context.Context) error {
	if fault := l.damage(); fault != nil {
		return fault
	}
	l.mu.RLock()
	want, size := l.head, l.size
	l.mu.RUnlock()
	h, end, fault, err := walk(ctx, l.file, l.path, size, func(int64, *line) error { return nil })
	switch {
	case err != nil:
		return unavailable(err, "verify %s", l.path)
	case fault != nil:
		return l.remember(fault)
	case end != size || h != want:
		return l.damaged(end, fmt.Sprintf("the file ends with line %d, and not with line %d as it was written", h.seq, want.seq))
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.tail != clean {
		return nil // what a failed write left is not looked at
	}
	if err := l.unchanged(); err != nil {
		return err
	}
	if fault := l.damage(); fault != nil {
		return fault
	}
	return nil
}

func (l *Log) remember(fault *FaultError) *FaultError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == nil {
		l.fault = fault
	}
	return l.fault
}
