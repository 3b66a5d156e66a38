package api

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// rawType is the media type of an export of all bytes, zeros included.
const rawType = "application/octet-stream"

// checksumTrailer is the trailer of a raw export: the SHA-256 of its bytes, in
// hex.
const checksumTrailer = "X-Checksum-Sha256"

// exportBuffer gathers small extents; maxWrite bounds one extent on the wire,
// and a run of zeros in memory.
const (
	exportBuffer = 256 << 10
	maxWrite     = 16 << 20
	zeroRun      = 256 << 10
)

// exportDisk reads a disk out: as a sparse export if the client accepts it,
// else raw.
func (s *Server) exportDisk(ctx context.Context, in *reasonInput) (*huma.StreamResponse, error) {
	d, err := s.target(ctx, in.ID, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(huma.Context) {
		x := exchangeOf(ctx)
		stop := unblock(ctx, x)
		defer stop()
		var out exportWriter = &rawExport{x: x}
		if accepts(x.request, wire.ExportContentType) {
			out = &sparseExport{x: x}
		}
		sum, err := s.cfg.Exporter.Export(ctx, x.actor(), d.ID, in.Body.Reason, out)
		if err == nil {
			err = out.End(sum)
		}
		switch {
		case err == nil:
		case x.status == 0:
			x.refuse(problemOf(err))
		default:
			x.abort(err)
		}
	}}, nil
}

// exportWriter is a sink that is told the end.
type exportWriter interface {
	quarantine.ExportSink
	// End is called after the last extent, with the SHA-256 of the disk in hex.
	End(sum string) error
}

// errClientGone marks errors of writing to the client.
var errClientGone = errors.New("the client does not take the answer")

// toClient marks them.
type toClient struct{ x *exchange }

func (c toClient) Write(b []byte) (int, error) {
	n, err := c.x.Write(b)
	if err != nil {
		err = fmt.Errorf("%w: %w", errClientGone, err)
	}
	return n, err
}

// accepts reports whether the request names the media type in its header
// Accept.
func accepts(r *http.Request, mediaType string) bool {
	for _, header := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(header, ",") {
			if t, _, err := mime.ParseMediaType(part); err == nil && t == mediaType {
				return true
			}
		}
	}
	return false
}

// rawExport writes all bytes. HTTP/1.1 knows a length or trailers, not both: a
// client that says "TE: trailers" gets the digest at the end, others the length
// at the beginning. Either way a cut answer is no whole one.
type rawExport struct {
	x        *exchange
	w        *bufio.Writer
	zeros    []byte
	at, size int64
	trailer  bool
}

// Begin prepares the headers. They go with the first bytes: a read that fails
// at once can still be answered with the reason.
func (e *rawExport) Begin(d quarantine.Disk) error {
	if d.SizeBytes < 0 {
		return fmt.Errorf("the size of disk %s is not known", d.ID)
	}
	e.size, e.zeros = d.SizeBytes, make([]byte, zeroRun)
	r, h := e.x.request, e.x.Header()
	http2 := r.ProtoMajor >= 2
	e.trailer = http2 || wantsTrailers(r)
	if e.trailer {
		h.Set("Trailer", checksumTrailer)
	}
	if http2 || !e.trailer {
		h.Set("Content-Length", strconv.FormatInt(e.size, 10))
	}
	h.Set("Content-Type", rawType)
	e.w = bufio.NewWriterSize(toClient{e.x}, exportBuffer)
	return nil
}

func wantsTrailers(r *http.Request) bool {
	for _, header := range r.Header.Values("TE") {
		for part := range strings.SplitSeq(header, ",") {
			if name, _, _ := strings.Cut(part, ";"); strings.EqualFold(strings.TrimSpace(name), "trailers") {
				return true
			}
		}
	}
	return false
}

// Extent writes the zeros before the extent, and the extent.
func (e *rawExport) Extent(offset int64, data []byte) error {
	if err := e.zerosTo(offset); err != nil {
		return err
	}
	n, err := e.w.Write(data)
	e.at += int64(n)
	if err != nil {
		return fmt.Errorf("send the bytes at %d: %w", offset, err)
	}
	return nil
}

func (e *rawExport) zerosTo(offset int64) error {
	if offset < e.at || offset > e.size {
		return fmt.Errorf("an extent at %d of a disk of %d bytes follows one that ends at %d", offset, e.size, e.at)
	}
	for e.at < offset {
		n, err := e.w.Write(e.zeros[:min(offset-e.at, zeroRun)])
		e.at += int64(n)
		if err != nil {
			return fmt.Errorf("send the zeros at %d: %w", e.at, err)
		}
	}
	return nil
}

// End writes the zeros at the disk's end, and the digest.
func (e *rawExport) End(sum string) error {
	if err := e.zerosTo(e.size); err != nil {
		return err
	}
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("send the last bytes: %w", err)
	}
	if e.trailer {
		e.x.Header().Set(checksumTrailer, sum)
	}
	return nil
}

// sparseExport writes extents only, in the form of wire.ExportWriter.
type sparseExport struct {
	x   *exchange
	w   *bufio.Writer
	out *wire.ExportWriter
}

// Begin prepares the headers, and the beginning of the form.
func (e *sparseExport) Begin(d quarantine.Disk) (err error) {
	if d.SizeBytes < 0 {
		return fmt.Errorf("the size of disk %s is not known", d.ID)
	}
	e.x.Header().Set("Content-Type", wire.ExportContentType)
	e.w = bufio.NewWriterSize(toClient{e.x}, exportBuffer)
	e.out, err = wire.NewExportWriter(e.w, d.SizeBytes)
	return err
}

// Extent writes the extent, in pieces that a reader takes.
func (e *sparseExport) Extent(offset int64, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), maxWrite)
		if err := e.out.Extent(offset, data[:n]); err != nil {
			return err
		}
		offset, data = offset+int64(n), data[n:]
	}
	return nil
}

// End writes the end mark.
func (e *sparseExport) End(sum string) error {
	digest, err := hex.DecodeString(sum)
	if err != nil || len(digest) != sha256.Size {
		return fmt.Errorf("the digest %q of the export is no SHA-256", sum)
	}
	if err := e.out.End([sha256.Size]byte(digest)); err != nil {
		return err
	}
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("send the end of the export: %w", err)
	}
	return nil
}
