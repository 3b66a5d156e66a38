package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"

	"quarantine/internal/quarantine"
)

// diskBytes is where the bytes of an export go.
type diskBytes interface {
	// begin is told the disk's size.
	begin(size int64) error
	// data is written at an offset, zeros as many bytes of nothing.
	data(offset int64, b []byte) error
	zeros(offset, n int64) error
}

// exportSink counts the SHA-256 of all that passes. It is a client.ExportSink.
type exportSink struct {
	to       diskBytes
	progress quarantine.Progress
	digest   hash.Hash
	size, at int64
}

func newExportSink(to diskBytes, progress quarantine.Progress) *exportSink {
	return &exportSink{to: to, progress: progress, digest: sha256.New()}
}

// Begin is told the disk's size.
func (s *exportSink) Begin(size int64) error {
	s.size = size
	if err := s.to.begin(size); err != nil {
		return fmt.Errorf("begin the disk of %d bytes: %w", size, err)
	}
	return nil
}

// Extent takes the next bytes, after zeros.
func (s *exportSink) Extent(offset int64, b []byte) error {
	if err := s.skip(offset); err != nil {
		return err
	}
	s.digest.Write(b)
	if err := s.to.data(offset, b); err != nil {
		return fmt.Errorf("write at %d: %w", offset, err)
	}
	s.at += int64(len(b))
	s.progress(uint64(s.at), uint64(s.size))
	return nil
}

// skip goes on with zeros up to an offset.
func (s *exportSink) skip(to int64) error {
	n := to - s.at
	if err := eachZeros(n, func(z []byte) error {
		_, err := s.digest.Write(z)
		return err
	}); err != nil {
		return err
	}
	if n > 0 {
		if err := s.to.zeros(s.at, n); err != nil {
			return fmt.Errorf("write at %d: %w", s.at, err)
		}
	}
	s.at = to
	return nil
}

// finish goes on with zeros to the end, and returns the digest of all.
func (s *exportSink) finish() (sum [sha256.Size]byte, err error) {
	if err := s.skip(s.size); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(s.digest.Sum(nil)), nil
}

// zeroBlock is what a hole reads as, and the piece by which holes are looked
// for in data.
var zeroBlock = make([]byte, 64<<10)

func eachZeros(n int64, f func([]byte) error) error {
	for ; n > 0; n -= int64(len(zeroBlock)) {
		if err := f(zeroBlock[:min(n, int64(len(zeroBlock)))]); err != nil {
			return err
		}
	}
	return nil
}

// fileBytes writes a new file and leaves holes for zeros, also for those that
// come as data.
type fileBytes struct{ f *os.File }

func (w *fileBytes) begin(size int64) error   { return w.f.Truncate(size) }
func (w *fileBytes) zeros(int64, int64) error { return nil }

func (w *fileBytes) data(offset int64, b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), len(zeroBlock))]
		if !bytes.Equal(piece, zeroBlock[:len(piece)]) {
			if _, err := w.f.WriteAt(piece, offset); err != nil {
				return err
			}
		}
		offset += int64(len(piece))
		b = b[len(piece):]
	}
	return nil
}

// streamBytes writes all bytes one after the other.
type streamBytes struct{ w io.Writer }

func (w *streamBytes) begin(int64) error { return nil }

func (w *streamBytes) data(_ int64, b []byte) error {
	_, err := w.w.Write(b)
	return err
}

func (w *streamBytes) zeros(_, n int64) error {
	return eachZeros(n, func(z []byte) error {
		_, err := w.w.Write(z)
		return err
	})
}
