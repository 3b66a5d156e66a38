package quarantine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
)

// Exporter reads a disk's sealed bytes out.
type Exporter struct {
	ledger *Ledger
	reader Reader
}

// NewExporter makes the service.
func NewExporter(l *Ledger, r Reader) *Exporter { return &Exporter{ledger: l, reader: r} }

// ExportSink receives a disk's bytes. What is between two extents, and after
// the last up to the disk's size, is zero.
type ExportSink interface {
	Begin(d Disk) error
	Extent(offset int64, data []byte) error
}

// Export writes the disk's sealed bytes to the sink and returns the SHA-256 of
// all of them, zeros included, in hex. The custody log has the intent before
// the first byte leaves, and the digest after the last.
func (x *Exporter) Export(ctx context.Context, actor, id, reason string, sink ExportSink) (string, error) {
	if err := required(actor, "who"); err != nil {
		return "", err
	}
	l := x.ledger
	d, done, err := l.borrow(ctx, id)
	if err != nil {
		return "", err
	}
	defer done()
	e := Entry{Act: "export", Actor: actor, Reason: reason, Detail: map[string]string{}}
	if !d.Sealed || (d.State != Quarantined && d.State != Expiring && d.State != Restoring) {
		return "", l.refuse(ctx, d, e, refusedf("disk %s is %s; only sealed disks are exported", id, d.State))
	}
	digest := sha256.New()
	zeros := make([]byte, 1<<20)
	err = l.witnessed(ctx, d, e, func() error {
		if err := sink.Begin(d); err != nil {
			return fmt.Errorf("export disk %s: %w", id, err)
		}
		var at int64
		err := x.reader.ReadSealed(ctx, d.Key, func(offset int64, data []byte) error {
			hashZeros(digest, zeros, offset-at)
			digest.Write(data)
			at = offset + int64(len(data))
			return sink.Extent(offset, data)
		})
		if err != nil {
			return fmt.Errorf("export disk %s: %w", id, err)
		}
		hashZeros(digest, zeros, d.SizeBytes-at)
		e.Detail["sha256"] = hex.EncodeToString(digest.Sum(nil))
		return nil
	})
	if err != nil {
		return "", err
	}
	return e.Detail["sha256"], nil
}

// hashZeros feeds n zero bytes to the hash.
func hashZeros(h hash.Hash, zeros []byte, n int64) {
	for n > 0 {
		c := min(n, int64(len(zeros)))
		h.Write(zeros[:c])
		n -= c
	}
}
