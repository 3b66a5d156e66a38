package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A sparse export is, all numbers big-endian: the 8 bytes "QEXTENT1", the
// disk's size (u64), then extents in ascending order, each offset (u64), length
// (u32, never 0) and that many bytes. Then comes an end mark: the size again as
// offset, length 0, and the SHA-256 (32 bytes) of the whole disk, zeros
// included. A stream without the end mark is cut short and worth nothing: an
// error after the first byte can be told in no other way.

const exportMagic = "QEXTENT1"

// maxExtent bounds what a reader takes for one extent.
const maxExtent = 64 << 20

// ErrCutShort says that an export ended before its end mark.
var ErrCutShort = errors.New("the export was cut short")

// ExportWriter writes a sparse export.
type ExportWriter struct {
	w    io.Writer
	size int64
}

// NewExportWriter begins an export of a disk of that size.
func NewExportWriter(w io.Writer, size int64) (*ExportWriter, error) {
	if _, err := w.Write(binary.BigEndian.AppendUint64([]byte(exportMagic), uint64(size))); err != nil {
		return nil, fmt.Errorf("begin the export: %w", err)
	}
	return &ExportWriter{w: w, size: size}, nil
}

// Extent writes one extent.
func (e *ExportWriter) Extent(offset int64, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if err := e.head(offset, len(data)); err != nil {
		return err
	}
	if _, err := e.w.Write(data); err != nil {
		return fmt.Errorf("write the extent at %d: %w", offset, err)
	}
	return nil
}

// End writes the end mark with the disk's SHA-256.
func (e *ExportWriter) End(sum [sha256.Size]byte) error {
	if err := e.head(e.size, 0); err != nil {
		return err
	}
	if _, err := e.w.Write(sum[:]); err != nil {
		return fmt.Errorf("end the export: %w", err)
	}
	return nil
}

func (e *ExportWriter) head(offset int64, n int) error {
	b := binary.BigEndian.AppendUint64(nil, uint64(offset))
	if _, err := e.w.Write(binary.BigEndian.AppendUint32(b, uint32(n))); err != nil {
		return fmt.Errorf("write the extent at %d: %w", offset, err)
	}
	return nil
}

// ReadExport reads a sparse export. begin is told the disk's size, extent gets
// each extent (its data is valid during the call only). It returns the SHA-256
// that the daemon counted; an error wraps ErrCutShort if the stream ended
// before it.
func ReadExport(r io.Reader, begin func(size int64) error, extent func(offset int64, data []byte) error) (sum [sha256.Size]byte, err error) {
	head := make([]byte, len(exportMagic)+8)
	if _, err := io.ReadFull(r, head); err != nil {
		return sum, cut(err)
	}
	if string(head[:len(exportMagic)]) != exportMagic {
		return sum, fmt.Errorf("this is no export: it begins with %q", head[:len(exportMagic)])
	}
	size := int64(binary.BigEndian.Uint64(head[len(exportMagic):]))
	if size < 0 {
		return sum, fmt.Errorf("the export names a size of %d bytes", size)
	}
	if err := begin(size); err != nil {
		return sum, err
	}
	var buf []byte
	at := int64(0)
	for {
		var h [12]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return sum, cut(err)
		}
		offset, n := int64(binary.BigEndian.Uint64(h[:])), int64(binary.BigEndian.Uint32(h[8:]))
		if n == 0 {
			if offset != size {
				return sum, fmt.Errorf("the export ends at %d of %d bytes", offset, size)
			}
			if _, err := io.ReadFull(r, sum[:]); err != nil {
				return sum, cut(err)
			}
			return sum, nil
		}
		if offset < at || n > maxExtent || offset > size-n {
			return sum, fmt.Errorf("the export has an extent of %d bytes at %d, of a disk of %d", n, offset, size)
		}
		at = offset + n
		if int64(cap(buf)) < n {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		if _, err := io.ReadFull(r, buf); err != nil {
			return sum, cut(err)
		}
		if err := extent(offset, buf); err != nil {
			return sum, err
		}
	}
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCutShort
	}
	return fmt.Errorf("read the export: %w", err)
}
