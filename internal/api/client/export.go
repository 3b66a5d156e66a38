package client

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"

	"quarantine/internal/api/wire"
)

// ExportSink receives a disk's bytes. What is between two extents, and after
// the last up to the size, is zero. An error of it ends the export and is
// returned.
type ExportSink interface {
	Begin(size int64) error
	// Extent's data is valid during the call only.
	Extent(offset int64, data []byte) error
}

// Export reads a disk out, and returns the SHA-256 that the daemon counted
// over all of it, zeros included; whoever keeps the bytes compares it with
// their own. The error wraps wire.ErrCutShort if the stream ended before its
// end mark: what came is worth nothing then.
func (c *Client) Export(ctx context.Context, id string, r wire.ReasonRequest, sink ExportSink) (sum [sha256.Size]byte, err error) {
	path, err := diskPath(id, "/export")
	if err != nil {
		return sum, err
	}
	k := call{method: http.MethodPost, path: path, body: r, accept: wire.ExportContentType, long: true}
	err = c.open(ctx, k, func(body io.Reader) error {
		var err error
		sum, err = wire.ReadExport(body, sink.Begin, sink.Extent)
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("export disk %s: stopped before its end: %w", id, ctx.Err())
		}
		if err != nil {
			return fmt.Errorf("export disk %s: %w", id, err)
		}
		return nil
	})
	return sum, err
}
