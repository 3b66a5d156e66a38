package ceph

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"quarantine/internal/quarantine"
)

// trashObject is the object whose omap is the pool's trash: one key
// "id_<image id>" an entry (RBD_TRASH and cls_rbd in Ceph's source).
const trashObject = "rbd_trash"

const trashKeyPrefix = "id_"

// The sources of a trash entry (cls::rbd::TrashImageSource). `rbd trash ls`
// shows those of users; an image on its way out by a plain removal is of
// sourceRemoving.
const (
	sourceUser       = 0
	sourceUserParent = 4
)

// trashSpec is one value of the trash's omap (cls::rbd::TrashImageSpec).
type trashSpec struct {
	source    uint8
	name      string
	deleted   time.Time
	deferment time.Time
	// removing and moving: the state is TrashImageState's REMOVING or MOVING.
	removing, moving bool
}

// States of an entry that a client died in (cls::rbd::TRASH_IMAGE_STATE_…).
const (
	stateMoving   = 1
	stateRemoving = 2
)

func (s trashSpec) users() bool { return s.source == sourceUser || s.source == sourceUserParent }

func (s trashSpec) entry(key quarantine.Key) quarantine.TrashEntry {
	return quarantine.TrashEntry{Key: key, Name: s.name, DeletedAt: s.deleted, ProtectedUntil: s.deferment, Removing: s.removing}
}

// errSpec says that bytes are no trash entry of the layout that Ceph 13 to 20
// write.
var errSpec = errors.New("not a trash entry of a known layout")

// decodeTrashSpec reads a versioned TrashImageSpec and returns what follows.
// Layout: version, compat (u8), length (u32); source (u8), name (string),
// deletion time, deferment end (utime: seconds, nanoseconds, u32 each); since
// version 2 state (u8). A later version only appends.
func decodeTrashSpec(b []byte) (trashSpec, []byte, error) {
	var s trashSpec
	if len(b) < 6 || b[1] > 2 {
		return s, nil, errSpec
	}
	n := binary.LittleEndian.Uint32(b[2:])
	if uint64(n) > uint64(len(b)-6) {
		return s, nil, errSpec
	}
	body, rest := b[6:6+n], b[6+n:]
	if len(body) < 1 {
		return s, nil, errSpec
	}
	s.source, body = body[0], body[1:]
	name, body, ok := decodeString(body)
	if !ok || len(body) < 16 {
		return s, nil, errSpec
	}
	s.name = name
	s.deleted, s.deferment = decodeTime(body), decodeTime(body[8:])
	if len(body) > 16 {
		s.removing, s.moving = body[16] == stateRemoving, body[16] == stateMoving
	}
	return s, rest, nil
}

func decodeString(b []byte) (string, []byte, bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return "", nil, false
	}
	return string(b[4 : 4+n]), b[4+n:], true
}

// decodeTime cuts to whole seconds, as librbd's own listing does.
func decodeTime(b []byte) time.Time {
	return time.Unix(int64(binary.LittleEndian.Uint32(b)), 0).UTC()
}

// EachTrash reads the omap of the trash in pages. librbd's own listing, as
// go-ceph calls it, fails beyond 10,240 entries, and returns all at once.
// Similar to: rbd trash ls --long.
func (r *Registry) EachTrash(ctx context.Context, pool quarantine.PoolRef, do func([]quarantine.TrashEntry) error) error {
	c, io, err := r.pool(ctx, pool)
	if err != nil {
		return err
	}
	return c.omapPages(ctx, io, pool, trashObject, trashKeyPrefix, "list the trash of "+pool.String(), func(page []rados.OmapKeyValue) error {
		entries := make([]quarantine.TrashEntry, 0, len(page))
		for _, kv := range page {
			id := strings.TrimPrefix(kv.Key, trashKeyPrefix)
			s, _, err := decodeTrashSpec(kv.Value)
			if err != nil {
				return fmt.Errorf("list the trash of %s: entry %s: %w: %w", pool, id, quarantine.ErrUnavailable, err)
			}
			if s.users() {
				entries = append(entries, s.entry(pool.Key(id)))
			}
		}
		return do(entries)
	})
}

// FindInTrash reads one entry, of those that EachTrash lists.
func (r *Registry) FindInTrash(ctx context.Context, key quarantine.Key) (quarantine.TrashEntry, error) {
	s, err := r.trashEntry(ctx, key)
	if err == nil && !s.users() {
		err = fmt.Errorf("look for %s in the trash: %w: it is on its way out", key, quarantine.ErrNotFound)
	}
	if err != nil {
		return quarantine.TrashEntry{}, err
	}
	return s.entry(key), nil
}

// FindSomeInTrash reads several entries, of those that EachTrash lists.
func (r *Registry) FindSomeInTrash(ctx context.Context, pool quarantine.PoolRef, ids []string) (map[string]quarantine.TrashEntry, error) {
	c, io, err := r.pool(ctx, pool)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = trashKeyPrefix + id
	}
	what := fmt.Sprintf("look for %d images in the trash of %s", len(ids), pool)
	values, err := get(ctx, c, what, func() (map[string][]byte, error) { return omapValues(io, trashObject, keys) }, nil)
	if gone(err) {
		err = c.stands(ctx, io, pool) // a pool that never had a trash
	}
	if err != nil {
		return nil, err
	}
	entries := make(map[string]quarantine.TrashEntry, len(values))
	for key, value := range values {
		id := strings.TrimPrefix(key, trashKeyPrefix)
		s, _, err := decodeTrashSpec(value)
		if err != nil {
			return nil, fmt.Errorf("%s: entry %s: %w: %w", what, id, quarantine.ErrUnavailable, err)
		}
		if s.users() {
			entries[id] = s.entry(pool.Key(id))
		}
	}
	return entries, nil
}

// trashEntry reads one entry. ErrNotFound if the image is not in the trash.
func (r *Registry) trashEntry(ctx context.Context, key quarantine.Key) (trashSpec, error) {
	c, io, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return trashSpec{}, err
	}
	what := "look for " + key.String() + " in the trash"
	s, err := get(ctx, c, what, func() (*trashSpec, error) { return trashSpecOf(io, key.ImageID) }, nil)
	if err == nil && s == nil {
		if err = c.stands(ctx, io, key.PoolRef()); err == nil {
			err = fmt.Errorf("%s: %w", what, quarantine.ErrNotFound)
		}
	}
	if err != nil {
		return trashSpec{}, err
	}
	return *s, nil
}

// trashSpecOf reads the entry of that image id; nil: there is none.
func trashSpecOf(io *rados.IOContext, id string) (*trashSpec, error) {
	b, err := omapValue(io, trashObject, trashKeyPrefix+id)
	if gone(err) || err == nil && b == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, _, err := decodeTrashSpec(b)
	if err != nil {
		return nil, fmt.Errorf("%w: the trash's entry %s: %w", quarantine.ErrUnavailable, id, err)
	}
	return &s, nil
}

// MoveToTrash moves a live image to the trash. Similar to: rbd trash mv
// --expires-at.
func (r *Registry) MoveToTrash(ctx context.Context, pool quarantine.PoolRef, name string, protect time.Duration) error {
	c, io, err := r.pool(ctx, pool)
	if err != nil {
		return err
	}
	return c.do(ctx, "move "+pool.String()+"/"+name+" to the trash", func() error {
		return rbd.GetImage(io, name).Trash(protect)
	})
}

// DropName drops a second name of an image. Similar to: rados rm rbd_id.NAME.
func (r *Registry) DropName(ctx context.Context, key quarantine.Key, name string) error {
	c, io, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return err
	}
	return c.do(ctx, "drop the name "+name+" of "+key.String(), func() error { return dropName(io, name, key.ImageID) })
}

// RestoreFromTrash takes an entry out of the trash. Similar to: rbd trash
// restore --image. An entry whose move into the trash a dead client left
// half-way is moved in first: Ceph restores no such entry.
func (r *Registry) RestoreFromTrash(ctx context.Context, key quarantine.Key, name string) error {
	c, io, err := r.pool(ctx, key.PoolRef())
	if err != nil {
		return err
	}
	restore := func() error {
		return c.do(ctx, "restore "+key.String()+" from the trash as "+name, func() error {
			return rbd.TrashRestore(io, key.ImageID, name)
		})
	}
	err = restore()
	if !errors.Is(err, quarantine.ErrBusy) {
		return err
	}
	finished, ferr := r.finishMove(ctx, key)
	if ferr != nil {
		return errors.Join(err, ferr)
	}
	if !finished {
		return err
	}
	return restore()
}

// finishMove ends a move to the trash that was cut short: the entry is there,
// its state says MOVING, and the image may still have its name. It reports
// whether there was such a one. librbd has no other way than to move the image
// of that name again, which finds the entry and lets it keep its protection.
func (r *Registry) finishMove(ctx context.Context, key quarantine.Key) (bool, error) {
	s, err := r.trashEntry(ctx, key)
	if err != nil || !s.moving {
		return false, err
	}
	live, err := r.LiveImages(ctx, key.PoolRef(), s.name)
	if err != nil {
		return false, err
	}
	if id, taken := live[s.name]; taken && id != key.ImageID {
		// By that name it would move the other image.
		return false, fmt.Errorf("%s is half-way into the trash under the name %q, which image %s has now: %w; rename that one for a moment", key, s.name, id, quarantine.ErrBusy)
	}
	// Should another client have finished it just now, and have it restored by
	// its name, it is in the trash again, with the protection that it had.
	return true, r.MoveToTrash(ctx, key.PoolRef(), s.name, s.deferment.Sub(s.deleted))
}
