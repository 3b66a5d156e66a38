package fakeceph

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"quarantine/internal/quarantine"
)

// create makes a live image. The caller holds c.mu.
func (c *Ceph) create(p quarantine.PoolRef, name string, size int64) *image {
	c.nextID++
	img := &image{
		key: p.Key(fmt.Sprintf("%012x", 0x1000+c.nextID)), name: name,
		content: content{size: size, blocks: map[int64][]byte{}}, meta: map[string]string{},
	}
	c.images[img.key] = img
	return img
}

// CloudCreate makes a live image and returns its key. ErrExists if the name is
// taken.
func (c *Ceph) CloudCreate(p quarantine.PoolRef, name string, size int64) (quarantine.Key, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.known(p); err != nil {
		return quarantine.Key{}, err
	}
	if c.taken(p, name) {
		return quarantine.Key{}, fmt.Errorf("create %s/%s: %w", p, name, quarantine.ErrExists)
	}
	return c.create(p, name, size).key, nil
}

// CloudCreateCut is a create whose client dies before there is an image.
func (c *Ceph) CloudCreateCut(p quarantine.PoolRef, name string) (quarantine.Key, error) {
	key, err := c.CloudCreate(p, name, 0)
	if err != nil {
		return key, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.images, key)
	if c.cut[p] == nil {
		c.cut[p] = map[string]string{}
	}
	c.cut[p][name] = key.ImageID
	return key, nil
}

// CloudWrite writes into an image, as a VM does; also into one in the trash,
// because a client that has it open goes on.
func (c *Ceph) CloudWrite(key quarantine.Key, offset int64, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := c.images[key]
	switch {
	case img == nil:
		return fmt.Errorf("write to %s: %w", key, quarantine.ErrNotFound)
	case offset < 0 || offset+int64(len(data)) > img.content.size:
		return fmt.Errorf("write to %s beyond its end: %w", key, quarantine.ErrInvalid)
	}
	img.content.write(offset, data)
	return nil
}

// CloudSnapshot takes a snapshot of a live image.
func (c *Ceph) CloudSnapshot(p quarantine.PoolRef, name, snap string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := c.live(p, name)
	if img == nil {
		return fmt.Errorf("snapshot of %s/%s: %w", p, name, quarantine.ErrNotFound)
	}
	if img.snap(snap) != nil {
		return fmt.Errorf("snapshot %s/%s@%s: %w", p, name, snap, quarantine.ErrExists)
	}
	c.snapshot(img, snap)
	return nil
}

// CloudClone clones a snapshot of a live image, as a cloud boots a VM from an
// image.
func (c *Ceph) CloudClone(p quarantine.PoolRef, src, snap string, dst quarantine.PoolRef, name string) (quarantine.Key, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	img, err := c.clone(p, src, snap, dst, name)
	if err != nil {
		return quarantine.Key{}, err
	}
	return img.key, nil
}

// CloudRemove is librbd's remove. With the guard on, the image moves to the
// trash, whatever snapshots or watchers it has; without, it is destroyed:
// ErrRefused if it has snapshots, ErrBusy if somebody has it open.
func (c *Ceph) CloudRemove(p quarantine.PoolRef, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cloudRemove(p, name)
}

func (c *Ceph) cloudRemove(p quarantine.PoolRef, name string) error {
	img := c.live(p, name)
	if img == nil {
		if other := c.images[c.second[p][name]]; other != nil {
			c.destroy(other) // librbd does so, and says what follows
		}
		return fmt.Errorf("remove %s/%s: %w", p, name, quarantine.ErrNotFound)
	}
	if g := c.guards[whole(p)]; g.On {
		return c.moveToTrash(p, name, g.Expire)
	}
	if err := removable(img); err != nil {
		return fmt.Errorf("remove %s/%s: %w", p, name, err)
	}
	c.destroy(img)
	return nil
}

// CloudRename is `rbd rename`, as Cinder does with an image that it takes over.
func (c *Ceph) CloudRename(p quarantine.PoolRef, name, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rename(p, name, to)
}

// CloudRenameCut is CloudRename by a client that dies after the first step.
func (c *Ceph) CloudRenameCut(p quarantine.PoolRef, name, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := c.live(p, name)
	if img == nil || c.taken(p, to) {
		return fmt.Errorf("rename %s/%s to %s: %w", p, name, to, quarantine.ErrConflict)
	}
	if c.second[p] == nil {
		c.second[p] = map[string]quarantine.Key{}
	}
	c.second[p][to] = img.key
	return nil
}

// SecondNames are the names that CloudRenameCut has left, of images that are there.
func (c *Ceph) SecondNames(p quarantine.PoolRef) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for name, key := range c.second[p] {
		if c.images[key] != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// CloudTrash is `rbd trash mv`: CEPH_TRASH=yes of OpenNebula, Cinder's own
// trash move, an operator.
func (c *Ceph) CloudTrash(p quarantine.PoolRef, name string, protect time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moveToTrash(p, name, protect)
}

// CloudRestore is `rbd trash restore` by somebody else.
func (c *Ceph) CloudRestore(key quarantine.Key, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.restoreFromTrash(key, name)
}

// CloudForceRemove is `rbd trash rm --force`: it minds snapshots and watchers,
// but no protection.
func (c *Ceph) CloudForceRemove(key quarantine.Key) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := c.images[key]
	if img == nil || img.trash == nil {
		return fmt.Errorf("force %s out of the trash: %w", key, quarantine.ErrNotFound)
	}
	if err := removable(img); err != nil {
		return fmt.Errorf("force %s out of the trash: %w", key, err)
	}
	c.destroy(img)
	return nil
}

// CloudHollow ends an image that is in the trash, but for its entry there: as a
// removal does that is cut short before its last step, or, without Ceph, as one does
// who removes the image's header.
func (c *Ceph) CloudHollow(key quarantine.Key, removing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img := c.images[key]; img != nil && img.trash != nil {
		img.hollow, img.trash.removing = true, removing
	}
}

// CloudBeginRemoval leaves the image's entry as a removal does that is cut short, or
// as whoever writes to it does: Ceph gives it back to nobody.
func (c *Ceph) CloudBeginRemoval(key quarantine.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img := c.images[key]; img != nil && img.trash != nil {
		img.trash.removing = true
	}
}

// CloudDestroy ends an image by means beyond any guard (its objects deleted
// one by one with the cloud's key).
func (c *Ceph) CloudDestroy(key quarantine.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img := c.images[key]; img != nil {
		c.destroy(img)
	}
}

// CloudWatch opens the image as a client; the returned function closes it.
func (c *Ceph) CloudWatch(key quarantine.Key, client string) (stop func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := c.images[key]
	if img == nil {
		return nil, fmt.Errorf("open %s: %w", key, quarantine.ErrNotFound)
	}
	img.watchers = append(img.watchers, client)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, w := range img.watchers {
			if w == client {
				img.watchers = append(img.watchers[:i:i], img.watchers[i+1:]...)
				return
			}
		}
	}, nil
}

// Status is what a test sees of an image.
type Status struct {
	Name           string
	InTrash        bool
	Sealed         bool
	DeletedAt      time.Time // as ProtectedUntil, zero if it is live
	ProtectedUntil time.Time
	Content        []byte // of the head, zeros included
	SealedContent  []byte // of the seal; nil without one
}

// Look returns an image's status, without hooks or faults, and whether it
// exists.
func (c *Ceph) Look(key quarantine.Key) (Status, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := c.images[key]
	if img == nil {
		return Status{}, false
	}
	st := Status{Name: img.name, InTrash: img.trash != nil, Content: img.content.bytes()}
	if img.trash != nil {
		st.DeletedAt, st.ProtectedUntil = img.trash.deletedAt, img.trash.until
	}
	if s := img.sealed(); s != nil {
		st.Sealed, st.SealedContent = true, s.bytes()
	}
	return st, true
}

// LookLive is Look for the live image of that name.
func (c *Ceph) LookLive(p quarantine.PoolRef, name string) (quarantine.Key, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img := c.live(p, name); img != nil {
		return img.key, true
	}
	return quarantine.Key{}, false
}

// Snapshots returns the names of an image's snapshots, in order.
func (c *Ceph) Snapshots(key quarantine.Key) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	if img := c.images[key]; img != nil {
		for _, s := range img.snaps {
			if !s.removed {
				names = append(names, s.name)
			}
		}
	}
	return names
}

// All returns the keys of all images, live and in the trash.
func (c *Ceph) All() []quarantine.Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Keys(c.images), func(a, b quarantine.Key) int { return cmp.Compare(a.String(), b.String()) })
}

// SetMeta writes an image's metadata key, as anybody with write caps can.
func (c *Ceph) SetMeta(key quarantine.Key, name, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img := c.images[key]; img != nil {
		img.meta[name] = string(bytes.Clone([]byte(value)))
	}
}
