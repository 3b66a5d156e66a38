package ceph

import (
	"context"

	"github.com/ceph/go-ceph/rados"

	"quarantine/internal/quarantine"
)

// omapPage is how many keys are read at once.
const omapPage = 2048

// omap reads all keys of an object of the pool that begin with the prefix. An
// object that does not exist has none; ErrNotFound if the pool is gone.
func (c *Cluster) omap(ctx context.Context, io *rados.IOContext, pool quarantine.PoolRef, oid, prefix, what string) (map[string][]byte, error) {
	all := map[string][]byte{}
	err := c.omapPages(ctx, io, pool, oid, prefix, what, func(page []rados.OmapKeyValue) error {
		for _, kv := range page {
			all[kv.Key] = kv.Value
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// omapPages is omap, a page at a time in the order of the keys, so that a listing of
// millions can be left, and need not be held. An error of do ends it. While do looks
// at a page the OSD reads the next one: with millions both are busy for seconds.
func (c *Cluster) omapPages(ctx context.Context, io *rados.IOContext, pool quarantine.PoolRef, oid, prefix, what string, do func([]rados.OmapKeyValue) error) error {
	type read struct {
		page []rados.OmapKeyValue
		err  error
	}
	ctx, stop := context.WithCancel(ctx)
	from := func(after string) <-chan read {
		ch := make(chan read, 1)
		go func() {
			defer close(ch)
			page, err := get(ctx, c, what, func() ([]rados.OmapKeyValue, error) { return readOmap(io, oid, after, prefix) }, nil)
			ch <- read{page, err}
		}()
		return ch
	}
	next := from("")
	defer func() {
		stop()
		<-next // nobody waits for a page any more
	}()
	for {
		r := <-next
		switch {
		case gone(r.err):
			return c.stands(ctx, io, pool)
		case r.err != nil:
			return r.err
		case len(r.page) == 0: // not a page that is short: the OSD has a limit of its own
			return nil
		}
		next = from(r.page[len(r.page)-1].Key)
		if err := do(r.page); err != nil {
			return err
		}
	}
}

// readOmap reads the next keys, in their order.
func readOmap(io *rados.IOContext, oid, after, prefix string) ([]rados.OmapKeyValue, error) {
	var page []rados.OmapKeyValue
	err := io.ListOmapValues(oid, after, prefix, omapPage, func(key string, value []byte) {
		page = append(page, rados.OmapKeyValue{Key: key, Value: value})
	})
	return page, err
}

// omapValue reads the value of one key; nil if the object has no such key. It is no
// listing of one: an OSD that lists looks for the next key, too, past all that were
// removed lately.
func omapValue(io *rados.IOContext, oid, key string) ([]byte, error) {
	values, err := omapValues(io, oid, []string{key})
	return values[key], err
}

// omapValues is omapValue of many keys. What the object does not have is left out.
func omapValues(io *rados.IOContext, oid string, keys []string) (map[string][]byte, error) {
	op := rados.CreateReadOp()
	defer op.Release()
	step := op.GetOmapValuesByKeys(keys)
	if err := op.Operate(io, oid, rados.OperationNoFlag); err != nil {
		return nil, err
	}
	values := make(map[string][]byte, len(keys))
	for {
		kv, err := step.Next()
		if err != nil {
			return nil, err
		}
		if kv == nil {
			return values, nil
		}
		values[kv.Key] = kv.Value
	}
}
