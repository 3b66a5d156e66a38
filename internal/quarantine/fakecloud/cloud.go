package fakecloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// Network is the one network that the cloud has.
const Network = "lan"

// Foreign is the project that the service's own key cannot act in: volumes are
// offered to it by a transfer.
const Foreign = "foreign"

// Cloud is the fake. Its fields are set before it is used.
type Cloud struct {
	// NoLocations: the image service takes no locations.
	NoLocations bool
	// NoTransfers: a volume cannot be offered to another project. That shows
	// when the image has been renamed already.
	NoTransfers bool
	// Dies is where in the rename AdoptVolume ends, and leaves its volume.
	Dies RenameStep
	// Can is what Traits returns.
	Can quarantine.CloudTraits
	// Hook, where not nil, sees every call by its method's name, before it acts
	// (".before") and after (".after"). An error fails the call, and what the
	// call made is taken back.
	Hook func(point string) error

	name            string
	ceph            *fakeceph.Ceph
	volumes, images quarantine.PoolRef

	mu   sync.Mutex
	next int
	has  map[string]*Resource
}

var _ quarantine.CloudWriter = (*Cloud)(nil)

// RenameStep is a step of a rename; the zero value is none.
type RenameStep int

// The steps after which a second name is left: the image has its old name still, or
// the new one already.
const (
	RenameBegun RenameStep = iota + 1
	RenameAllButEnded
)

// renameCut renames an image up to the step.
func (c *Cloud) renameCut(from, to string) error {
	if c.Dies == RenameAllButEnded {
		if err := c.ceph.CloudRename(c.volumes, from, to); err != nil {
			return err
		}
		from, to = to, from
	}
	return c.ceph.CloudRenameCut(c.volumes, from, to)
}

// Resource is a volume, an image or a server.
type Resource struct {
	quarantine.Made
	// Key is of the image in the pool; zero for a server and for an image that
	// was sent.
	Key      quarantine.Key
	Bootable bool
	Type     string
	// Content is what was sent.
	Content []byte
	// Volumes are a server's, the one it boots from first. Network is empty
	// where it has none.
	Volumes  []string
	Network  string
	Defanged bool
}

// New makes a cloud with its volumes and images in these pools.
func New(name string, c *fakeceph.Ceph, volumes, images quarantine.PoolRef) *Cloud {
	return &Cloud{name: name, ceph: c, volumes: volumes, images: images, has: map[string]*Resource{}}
}

// Name is the cloud's name.
func (c *Cloud) Name() string { return c.name }

// Traits are as Can says.
func (c *Cloud) Traits() quarantine.CloudTraits { return c.Can }

// VolumePool knows the default type and "fast".
func (c *Cloud) VolumePool(_ context.Context, volumeType string) (quarantine.PoolRef, error) {
	if volumeType != "" && volumeType != "fast" {
		return quarantine.PoolRef{}, fmt.Errorf("volume type %q: %w", volumeType, quarantine.ErrNotFound)
	}
	return c.volumes, nil
}

// ImagePool is where the images are.
func (c *Cloud) ImagePool(context.Context) (quarantine.PoolRef, error) { return c.images, nil }

// All returns what the cloud has, by id.
func (c *Cloud) All() map[string]Resource {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]Resource{}
	for id, r := range c.has {
		all[id] = *r
	}
	return all
}

// call performs a method between its two points. undo takes back what act has
// made.
func (c *Cloud) call(ctx context.Context, name string, act func() (quarantine.Made, error), undo func(quarantine.Made)) (quarantine.Made, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.point(ctx, name+".before"); err != nil {
		return quarantine.Made{}, err
	}
	m, err := act()
	if err != nil {
		return quarantine.Made{}, fmt.Errorf("cloud %s: %s: %w", c.name, name, err)
	}
	if err := c.point(ctx, name+".after"); err != nil {
		undo(m)
		return quarantine.Made{}, err
	}
	return m, nil
}

func (c *Cloud) point(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", quarantine.ErrUnavailable, err)
	}
	if c.Hook == nil {
		return nil
	}
	return c.Hook(name)
}

// add makes a resource. The caller holds c.mu.
func (c *Cloud) add(kind quarantine.ResourceKind, name, project string, r Resource) quarantine.Made {
	c.next++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012x", c.next)
	r.Made = quarantine.Made{Kind: kind, ID: id, Name: name, Project: quarantine.Principal{Name: project}}
	if project == Foreign && kind == quarantine.ResourceVolume {
		r.Project = quarantine.Principal{Name: "service"}
		r.Transfer = &quarantine.Transfer{ID: "transfer-" + id, AuthKey: "key-" + id}
	}
	c.has[id] = &r
	return r.Made
}

// AdoptVolume renames the image, as Cinder does.
func (c *Cloud) AdoptVolume(ctx context.Context, o quarantine.VolumeOrder) (quarantine.Made, error) {
	var name string
	return c.call(ctx, "AdoptVolume", func() (quarantine.Made, error) {
		key, ok := c.ceph.LookLive(c.volumes, o.Source)
		switch st, _ := c.ceph.Look(key); {
		case !ok:
			return quarantine.Made{}, fmt.Errorf("%s/%s: %w", c.volumes, o.Source, quarantine.ErrNotFound)
		case o.SizeBytes != int64(len(st.Content)):
			return quarantine.Made{}, fmt.Errorf("%s/%s has %d bytes, and not %d: %w", c.volumes, o.Source, len(st.Content), o.SizeBytes, quarantine.ErrInvalid)
		}
		m := c.add(quarantine.ResourceVolume, o.Name, o.Project, Resource{Key: key, Bootable: o.Bootable, Type: o.Type})
		name = "volume-" + m.ID
		if c.Can.VolumePrefix != "" {
			name = c.Can.VolumePrefix + strings.TrimPrefix(o.Source, quarantine.RestorePrefix)
		}
		if c.Dies != 0 {
			if err := c.renameCut(o.Source, name); err != nil {
				panic(err) // then nothing is tested
			}
			return m, quarantine.ErrUnavailable
		}
		if err := c.ceph.CloudRename(c.volumes, o.Source, name); err != nil || m.Transfer == nil || !c.NoTransfers {
			return m, err
		}
		delete(c.has, m.ID)
		if o.Evidence {
			return m, fmt.Errorf("offer it: %w; the image is called %s now", quarantine.ErrBusy, name)
		}
		return m, errors.Join(fmt.Errorf("offer it: %w", quarantine.ErrBusy), c.ceph.CloudRemove(c.volumes, name))
	}, func(m quarantine.Made) {
		_ = c.ceph.CloudRename(c.volumes, name, o.Source) // it was renamed a moment ago
		delete(c.has, m.ID)
	})
}

// AdoptImage takes the image as it is, with its snapshot.
func (c *Cloud) AdoptImage(ctx context.Context, o quarantine.ImageOrder) (quarantine.Made, error) {
	return c.call(ctx, "AdoptImage", func() (quarantine.Made, error) {
		key, ok := c.ceph.LookLive(c.images, o.Source)
		switch {
		case c.NoLocations:
			return quarantine.Made{}, fmt.Errorf("locations are not allowed: %w", quarantine.ErrRefused)
		case !ok || o.FSID != c.images.FSID || !slices.Contains(c.ceph.Snapshots(key), "snap"):
			return quarantine.Made{}, fmt.Errorf("%s/%s@snap of %s: %w", c.images, o.Source, o.FSID, quarantine.ErrNotFound)
		}
		return c.add(quarantine.ResourceImage, o.Name, o.Project, Resource{Key: key}), nil
	}, func(m quarantine.Made) { delete(c.has, m.ID) })
}

// UploadImage keeps what it is sent.
func (c *Cloud) UploadImage(ctx context.Context, o quarantine.ImageOrder, read func(w quarantine.Writer) error) (quarantine.Made, error) {
	return c.call(ctx, "UploadImage", func() (quarantine.Made, error) {
		if c.Can.NoUpload {
			return quarantine.Made{}, fmt.Errorf("bytes are not taken: %w", quarantine.ErrRefused)
		}
		var b bytes.Buffer
		if err := read(&b); err != nil {
			return quarantine.Made{}, err
		}
		if int64(b.Len()) != o.SizeBytes {
			return quarantine.Made{}, fmt.Errorf("%d bytes came, of %d: %w", b.Len(), o.SizeBytes, quarantine.ErrInvalid)
		}
		return c.add(quarantine.ResourceImage, o.Name, o.Project, Resource{Content: b.Bytes()}), nil
	}, func(m quarantine.Made) { delete(c.has, m.ID) })
}

// BootServer makes a server of volumes that nobody uses.
func (c *Cloud) BootServer(ctx context.Context, o quarantine.ServerOrder) (quarantine.Made, error) {
	return c.call(ctx, "BootServer", func() (quarantine.Made, error) {
		if o.Network != "" && o.Network != Network {
			return quarantine.Made{}, fmt.Errorf("network %q: %w", o.Network, quarantine.ErrNotFound)
		}
		vols := append([]string{o.Root}, o.Data...)
		for i, id := range vols {
			v := c.has[id]
			switch {
			case v == nil || v.Kind != quarantine.ResourceVolume:
				return quarantine.Made{}, fmt.Errorf("volume %s: %w", id, quarantine.ErrNotFound)
			case c.user(id) != "":
				return quarantine.Made{}, fmt.Errorf("volume %s is attached to %s: %w", id, c.user(id), quarantine.ErrBusy)
			case i == 0 && !v.Bootable:
				return quarantine.Made{}, fmt.Errorf("volume %s is not bootable: %w", id, quarantine.ErrInvalid)
			}
		}
		return c.add(quarantine.ResourceVM, o.Name, o.Project, Resource{Volumes: vols, Network: o.Network, Defanged: o.Defanged}), nil
	}, func(m quarantine.Made) { delete(c.has, m.ID) })
}

// user is the server that has the volume attached, or "".
func (c *Cloud) user(volume string) string {
	for id := range maps.Keys(c.has) {
		if slices.Contains(c.has[id].Volumes, volume) {
			return id
		}
	}
	return ""
}

// Discard deletes the resource, and as a cloud does its image in the pool.
func (c *Cloud) Discard(ctx context.Context, m quarantine.Made) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.point(ctx, "Discard.before"); err != nil {
		return err
	}
	r := c.has[m.ID]
	if r == nil {
		return nil
	}
	if u := c.user(m.ID); u != "" {
		return fmt.Errorf("volume %s is attached to %s: %w", m.ID, u, quarantine.ErrBusy)
	}
	if st, live := c.ceph.Look(r.Key); live && !st.InTrash {
		if err := c.ceph.CloudRemove(r.Key.PoolRef(), st.Name); err != nil {
			return fmt.Errorf("delete %s %s: %w", m.Kind, m.ID, err)
		}
	}
	delete(c.has, m.ID)
	return c.point(ctx, "Discard.after")
}
