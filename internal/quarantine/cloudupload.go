package quarantine

import (
	"context"
	"fmt"
)

// uploadChunk is how much of a hole is sent at once.
const uploadChunk = 1 << 20

// upload makes an image by sending the disk's sealed bytes, holes as zeros.
func (w *cloudWork) upload(ctx context.Context, c *cloudCopy) (Disk, error) {
	l := w.ledger
	d, done, err := l.borrow(ctx, c.item.Disk)
	if err != nil {
		return d, err
	}
	defer done()
	e := Entry{Act: "restore", Actor: w.actor, Reason: w.order.Reason, Detail: w.detail(c)}
	e.Detail["as"], e.Detail["how"] = AsImage, howUpload
	if err := w.restorer.restorable(d); err != nil {
		return d, l.refuse(ctx, d, e, err)
	}
	err = l.witnessed(ctx, d, e, func() error {
		return l.around("restore.upload", func() error {
			made, err := w.to.UploadImage(ctx, w.imageOrder(c), func(out Writer) error { return w.send(ctx, d, out) })
			if err != nil {
				return fmt.Errorf("send disk %s to cloud %s: %w", d.ID, w.to.Name(), err)
			}
			c.made, c.fate, e.Detail["made"] = &made, fateSent, made.ID
			return nil
		})
	})
	return d, err
}

// send writes all bytes of the disk's seal.
func (w *cloudWork) send(ctx context.Context, d Disk, out Writer) error {
	zeros := make([]byte, uploadChunk)
	var at int64
	write := func(data []byte) error {
		if _, err := out.Write(data); err != nil {
			return err
		}
		at += int64(len(data))
		w.tell(CloudStep{Disk: d.ID, Stage: StageUpload, Done: uint64(at), Total: uint64(d.SizeBytes)})
		return ctx.Err()
	}
	fill := func(to int64) error {
		for at < to {
			if err := write(zeros[:min(to-at, uploadChunk)]); err != nil {
				return err
			}
		}
		return nil
	}
	err := w.reader.ReadSealed(ctx, d.Key, func(offset int64, data []byte) error {
		if err := fill(offset); err != nil {
			return err
		}
		return write(data)
	})
	if err != nil {
		return fmt.Errorf("read disk %s: %w", d.ID, err)
	}
	return fill(d.SizeBytes)
}
