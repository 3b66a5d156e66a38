package ceph

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// maker makes an image of random history: writes, discards, snapshots, growth
// and shrinkage, clones of clones, with and without the features that tell
// which objects exist.
type maker struct {
	rnd  *rand.Rand
	io   *rados.IOContext
	name string
	n    int // snapshots made
	log  []string
}

func (m *maker) note(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

func (m *maker) make(name string) error {
	m.name = name
	size := uint64(m.rnd.Int64N(20<<20) + 1)
	options := rbd.NewRbdImageOptions()
	defer options.Destroy()
	order := uint64(20 + m.rnd.IntN(4)) // objects of 1 to 8 MiB
	if err := options.SetUint64(rbd.ImageOptionOrder, order); err != nil {
		return err
	}
	features := []uint64{rbd.FeatureLayering, rbd.FeatureLayering | rbd.FeatureExclusiveLock,
		rbd.FeatureLayering | rbd.FeatureExclusiveLock | rbd.FeatureObjectMap | rbd.FeatureFastDiff}[m.rnd.IntN(3)]
	if err := options.SetUint64(rbd.ImageOptionFeatures, features); err != nil {
		return err
	}
	m.note("create %s size %d order %d features %d", name, size, order, features)
	return rbd.CreateImage(m.io, name, size, options)
}

// live changes the image as a machine and a cloud do.
func (m *maker) live() (err error) {
	img, err := rbd.OpenImage(m.io, m.name, rbd.NoSnapshot)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := img.Close(); err == nil {
			err = cerr
		}
	}()
	for range m.rnd.IntN(6) {
		size, err := img.GetSize()
		if err != nil {
			return err
		}
		offset := m.rnd.Int64N(int64(size))
		n := min(m.rnd.Int64N(3<<20)+1, int64(size)-offset)
		switch m.rnd.IntN(5) {
		case 0, 1:
			data := make([]byte, n)
			for i := range data {
				data[i] = byte(m.rnd.Uint32())
			}
			m.note("write %d at %d", n, offset)
			_, err = img.WriteAt(data, offset)
		case 2:
			m.note("discard %d at %d", n, offset)
			_, err = img.Discard(uint64(offset), uint64(n))
		case 3:
			m.n++
			m.note("snapshot %d", m.n)
			_, err = img.CreateSnapshot(fmt.Sprint("snap", m.n))
		case 4:
			size = uint64(m.rnd.Int64N(20<<20) + 1)
			m.note("resize %d", size)
			err = img.Resize(size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// clone makes the next image of the chain.
func (m *maker) clone(name string) error {
	img, err := rbd.OpenImage(m.io, m.name, rbd.NoSnapshot)
	if err != nil {
		return err
	}
	_, err = img.CreateSnapshot("base")
	if cerr := img.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	options := rbd.NewRbdImageOptions()
	defer options.Destroy()
	if err := options.SetUint64(rbd.ImageOptionCloneFormat, cloneFormat); err != nil {
		return err
	}
	m.note("clone to %s", name)
	src := m.name
	m.name = name
	return rbd.CloneImage(m.io, src, "base", m.io, name, options)
}

// plain reads the seal from end to end, as `rbd export` does.
func (m *maker) plain() (data []byte, err error) {
	img, err := rbd.OpenImageReadOnly(m.io, m.name, quarantine.SealSnapshot)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := img.Close(); err == nil {
			err = cerr
		}
	}()
	size, err := img.GetSize()
	if err != nil {
		return nil, err
	}
	data = make([]byte, size)
	if _, err := img.ReadAt(data, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return data, nil
}

// Whatever became of an image, what ReadSealed gives, with zeros between, is
// what reading the whole seal gives.
func TestReadSealedMissesNothing(t *testing.T) {
	t.Parallel()
	l := cephlab.Shared(t)
	pool := newPool(t, l)
	cl := newCloud(t, l)
	r := registry(t, l, pool)
	for n := range 12 {
		seed := uint64(time.Now().UnixNano()) // another history every time; it is logged
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			err := cl.in(pool, func(io *rados.IOContext) error {
				m := &maker{rnd: rand.New(rand.NewPCG(seed, uint64(n))), io: io}
				defer func() {
					if t.Failed() {
						t.Logf("seed %d: %q", seed, m.log)
					}
				}()
				name := fmt.Sprint("image", n)
				if err := m.make(name); err != nil {
					return err
				}
				for depth := range m.rnd.IntN(3) + 1 {
					if depth > 0 {
						if err := m.clone(fmt.Sprint(name, "-", depth)); err != nil {
							return err
						}
					}
					if err := m.live(); err != nil {
						return err
					}
				}
				return m.compare(t, r, pool)
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// compare seals the image, lets it live on, and reads the seal both ways.
func (m *maker) compare(t *testing.T, r *Registry, pool quarantine.PoolRef) error {
	ctx := testContext(t)
	live, err := r.LiveImages(ctx, pool, m.name)
	if err != nil {
		return err
	}
	key := pool.Key(live[m.name])
	img, err := r.OpenImage(ctx, key)
	if err != nil {
		return err
	}
	if err := img.Seal(ctx); err != nil {
		return err
	}
	if err := img.Close(); err != nil {
		return err
	}
	m.note("seal")
	want, err := m.plain()
	if err != nil {
		return err
	}
	if err := m.live(); err != nil {
		return err
	}
	got := make([]byte, len(want))
	err = r.ReadSealed(ctx, key, func(offset int64, data []byte) error {
		copy(got[offset:], data)
		return nil
	})
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("of %d bytes those from %d on differ: %d, want %d", len(want), i, got[i], want[i])
				break
			}
		}
	}
	return nil
}
