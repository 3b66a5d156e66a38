package custody

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
)

// ctxEvery is how many lines are read between two looks at the context.
const ctxEvery = 4096

var errLong = errors.New("it is longer than any line of this log")

// scan calls f with each complete line of the first size bytes, without its
// newline, and the line's offset; the bytes are valid during the call. A line
// that is too long comes as nil. It returns the offset after the last newline.
func scan(ctx context.Context, r io.ReaderAt, size int64, f func(offset int64, raw []byte) error) (int64, error) {
	br := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10)
	var offset int64
	var long []byte // the beginning of a line that is longer than br's buffer
	for n := 0; ; n++ {
		if n%ctxEvery == 0 {
			if err := ctx.Err(); err != nil {
				return offset, err
			}
		}
		raw, err := br.ReadSlice('\n')
		length := int64(len(raw))
		for long = long[:0]; errors.Is(err, bufio.ErrBufferFull); length += int64(len(raw)) {
			if len(long) <= maxLine {
				long = append(long, raw...)
			}
			raw, err = br.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			return offset, nil
		}
		if err != nil {
			return offset, err
		}
		if length > maxLine {
			raw = nil
		} else if len(long) > 0 {
			long = append(long, raw...)
			raw = long
		}
		if err := f(offset, bytes.TrimSuffix(raw, []byte("\n"))); err != nil {
			return offset, err
		}
		offset += length
	}
}

// walk checks the chain of the first size bytes from the genesis on, and calls
// f with each line that fits. It returns the head of what fits, the offset
// after the last newline, and the first fault, which ends the walk, or nil.
func walk(ctx context.Context, r io.ReaderAt, path string, size int64, f func(offset int64, l *line) error) (h head, end int64, fault *FaultError, err error) {
	h = genesis
	end, err = scan(ctx, r, size, func(offset int64, raw []byte) error {
		bad := func(reason error) error {
			fault = &FaultError{Path: path, Offset: offset, Seq: h.seq + 1, Reason: reason.Error()}
			return fault
		}
		if raw == nil {
			return bad(errLong)
		}
		l, err := decodeLine(raw)
		if err != nil {
			return bad(err)
		}
		next, err := l.follow(h)
		if err != nil {
			return bad(err)
		}
		if err := f(offset, &l); err != nil {
			return bad(err)
		}
		h = next
		return nil
	})
	if fault != nil {
		return h, end, fault, nil
	}
	return h, end, nil, err
}

// lineAt reads the complete line at the offset, without its newline, which
// must end before the size. It returns errShape if there is none.
func lineAt(r io.ReaderAt, offset, size int64) ([]byte, error) {
	for n := int64(2048); ; n *= 4 {
		n = min(n, size-offset, maxLine)
		if n <= 0 {
			return nil, errShape
		}
		buf := make([]byte, n)
		if err := readAt(r, buf, offset); err != nil {
			return nil, err
		}
		if i := bytes.IndexByte(buf, '\n'); i >= 0 {
			return buf[:i], nil
		}
		if n == size-offset || n == maxLine {
			return nil, errShape
		}
	}
}

// readAt fills the buffer. It returns errShape if the file ends before.
func readAt(r io.ReaderAt, buf []byte, offset int64) error {
	n, err := r.ReadAt(buf, offset)
	if n == len(buf) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errShape
	}
	return err
}
