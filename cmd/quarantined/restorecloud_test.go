package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/internal/quarantine"
)

// rbdCloud is a cloud as Ceph sees it: with the cloud's own key it renames what
// becomes a volume, and removes what it deletes.
type rbdCloud struct {
	s    *site
	pool quarantine.PoolRef
	// refuse makes AdoptVolume and AdoptImage fail.
	refuse error
}

func (c *rbdCloud) Name() string { return "os" }

func (c *rbdCloud) VolumePool(context.Context, string) (quarantine.PoolRef, error) {
	return c.pool, nil
}

func (*rbdCloud) Traits() quarantine.CloudTraits { return quarantine.CloudTraits{} }

func (c *rbdCloud) ImagePool(context.Context) (quarantine.PoolRef, error) { return c.pool, nil }

func (c *rbdCloud) AdoptVolume(ctx context.Context, o quarantine.VolumeOrder) (quarantine.Made, error) {
	m := quarantine.Made{Kind: quarantine.ResourceVolume, ID: "made-" + o.Name}
	if c.refuse != nil || ctx.Err() != nil {
		return m, errors.Join(c.refuse, ctx.Err())
	}
	_, err := c.s.lab.RBD(ctx, cephlab.Cloud, "rename", c.s.spec+"/"+o.Source, c.s.spec+"/volume-"+m.ID)
	return m, err
}

func (c *rbdCloud) AdoptImage(ctx context.Context, o quarantine.ImageOrder) (quarantine.Made, error) {
	if c.refuse != nil {
		return quarantine.Made{}, c.refuse
	}
	// As a cloud boots from an image: a clone of its snapshot.
	_, err := c.s.lab.RBD(ctx, cephlab.Cloud, "clone", c.s.spec+"/"+o.Source+"@snap", c.s.spec+"/booted")
	return quarantine.Made{Kind: quarantine.ResourceImage, ID: o.Source}, err
}

func (c *rbdCloud) UploadImage(context.Context, quarantine.ImageOrder, func(quarantine.Writer) error) (quarantine.Made, error) {
	return quarantine.Made{}, errors.New("no uploads here")
}

func (c *rbdCloud) BootServer(context.Context, quarantine.ServerOrder) (quarantine.Made, error) {
	return quarantine.Made{}, errors.New("no valid host was found")
}

func (c *rbdCloud) Discard(ctx context.Context, m quarantine.Made) error {
	_, err := c.s.lab.RBD(ctx, cephlab.Cloud, "rm", "--no-progress", c.s.spec+"/volume-"+m.ID)
	return err
}

// cloudSite is a daemon that is built and does not serve, over a guarded pool of
// the lab's Ceph with one disk in quarantine.
type cloudSite struct {
	*site
	d       *daemon
	cloud   *rbdCloud
	restore *quarantine.CloudRestorer
	disk    quarantine.Disk
	bytes   []byte
	ahead   atomic.Int64 // how far its clock is, in nanoseconds
}

func newCloudSite(t *testing.T) *cloudSite {
	t.Helper()
	c := &cloudSite{site: newSite(t, siteOptions{})}
	cfg, err := loadConfig(c.configPath)
	if err != nil {
		t.Fatal(err)
	}
	c.d, err = build(c.ctx, cfg, slog.New(slog.DiscardHandler), seams{clock: func() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.d.close(); err != nil {
			t.Error(err)
		}
	})
	c.bytes = c.image("vm-1_disk")
	c.remove("vm-1_disk")
	c.run(c.d.services.reconciler.Run)
	disks, err := c.d.catalog.FindDisks(c.ctx, quarantine.DiskFilter{})
	if err != nil || len(disks) != 1 || disks[0].State != quarantine.Quarantined {
		t.Fatalf("%+v, %v", disks, err)
	}
	c.disk = disks[0]
	c.cloud = &rbdCloud{s: c.site, pool: c.disk.Key.PoolRef()}
	c.restorer(c.d.services.collector)
	return c
}

func (c *cloudSite) restorer(discarder quarantine.Discarder) {
	c.restore = quarantine.NewCloudRestorer(quarantine.CloudRestorerConfig{
		Restorer: c.d.services.restorer, Clouds: []quarantine.CloudWriter{c.cloud}, Deletions: c.d.catalog, Snapshots: c.d.registry,
		Reader: c.d.registry, Discarder: discarder, Marks: c.d.catalog,
	})
}

func (c *cloudSite) run(job func(context.Context, string, quarantine.JobOptions) quarantine.Report) quarantine.Report {
	c.t.Helper()
	rep := job(c.ctx, "cron", quarantine.JobOptions{})
	if rep.Stopped != "" || rep.Failed() > 0 {
		c.t.Fatalf("%+v", rep)
	}
	return rep
}

func (c *cloudSite) give(o quarantine.CloudOrder) (quarantine.CloudResult, error) {
	o.Disk, o.Reason, o.Name = c.disk.ID, "a test", "copy"
	return c.restore.Restore(c.ctx, "carol", o, nil)
}

// asBefore checks that the pool has the disk in quarantine, with its bytes, and
// nothing live but what is named.
func (c *cloudSite) asBefore(live ...string) {
	c.t.Helper()
	if got := strings.Join(c.live(), " "); got != strings.Join(live, " ") {
		c.t.Errorf("live images: %s", got)
	}
	if got := c.trash(); len(got) != 1 || got[c.disk.Key.ImageID] == "" {
		c.t.Errorf("the trash has %v", got)
	}
	var sink memoryDisk
	if _, err := c.d.services.exporter.Export(c.ctx, "carol", c.disk.ID, "a test", &sink); err != nil {
		c.t.Fatal(err)
	}
	same(c.t, "the disk", sink.b, c.bytes)
	c.run(c.d.services.reconciler.Run) // nothing is adopted, nothing has failed
	if got := c.trash(); len(got) != 1 {
		c.t.Errorf("the trash has %v", got)
	}
}

// memoryDisk takes an export of the domain.
type memoryDisk struct{ memorySink }

func (m *memoryDisk) Begin(d quarantine.Disk) error { return m.memorySink.Begin(d.SizeBytes) }

// On a real Ceph with the guard on: a volume has the disk's bytes and does not
// stand on it.
func TestRestoreVolumeOnCeph(t *testing.T) {
	t.Parallel()
	c := newCloudSite(t)
	res, err := c.give(quarantine.CloudOrder{As: quarantine.AsVolume})
	if err != nil || len(res.Made) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	same(t, "the volume", c.content(c.spec+"/volume-made-copy"), c.bytes)
	if info := c.rbd("info", c.spec+"/volume-made-copy"); strings.Contains(info, "parent:") {
		t.Errorf("it stands on the disk: %s", info)
	}
	c.asBefore("volume-made-copy")
	c.ahead.Add(int64(2 * time.Hour))
	c.run(c.d.services.collector.Run)
	c.asBefore("volume-made-copy")
}

// An image by location has a protected snapshot that a cloud can clone; no run
// of the collector touches it.
func TestRestoreImageOnCeph(t *testing.T) {
	t.Parallel()
	c := newCloudSite(t)
	res, err := c.give(quarantine.CloudOrder{As: quarantine.AsImage})
	if err != nil || len(res.Made) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	same(t, "what boots from the image", c.content(c.spec+"/booted"), c.bytes)
	c.ahead.Add(int64(2 * time.Hour))
	c.run(c.d.services.collector.Run)
	c.asBefore("booted", res.Made[0].ID)
}

// What fails is taken back, whatever the guard keeps: a copy that no cloud
// wanted, one with a protected snapshot, and a volume that the cloud itself
// deletes.
func TestRestoreIsTakenBackOnCeph(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]quarantine.CloudOrder{
		"volume": {As: quarantine.AsVolume},
		"clone":  {As: quarantine.AsVolume, NoFlatten: true},
		"image":  {As: quarantine.AsImage},
		"server": {As: quarantine.AsServer, Defanged: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloudSite(t)
			if o.As != quarantine.AsServer {
				c.cloud.refuse = errors.New("quota exceeded")
			}
			res, err := c.give(o)
			if err == nil || len(res.Left) != 0 || len(res.Removed) == 0 {
				t.Errorf("%+v, %v", res, err)
			}
			c.asBefore()
		})
	}
}

// A caller that goes away while librbd copies is waited for by nobody: what was
// copied goes as soon as librbd has let go of it.
func TestRestoreIsCancelledOnCeph(t *testing.T) {
	t.Parallel()
	c := newCloudSite(t)
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	res, err := c.restore.Restore(ctx, "carol", quarantine.CloudOrder{Disk: c.disk.ID, As: quarantine.AsVolume, Reason: "a test"}, func(s quarantine.CloudStep) {
		if s.Stage == quarantine.StageFlatten {
			cancel()
		}
	})
	if err == nil || len(res.Left) != 0 || len(res.Removed) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	c.asBefore()
}

// broken discards nothing, as a daemon that was killed.
type broken struct{}

func (broken) DiscardClone(context.Context, string, quarantine.Key, string) error {
	return fmt.Errorf("killed: %w", quarantine.ErrUnavailable)
}

// What a crash leaves behind is discarded an hour later by the collector.
func TestLeftoverOnCeph(t *testing.T) {
	t.Parallel()
	c := newCloudSite(t)
	c.restorer(broken{})
	c.cloud.refuse = errors.New("quota exceeded")
	res, err := c.give(quarantine.CloudOrder{As: quarantine.AsVolume})
	if err == nil || len(res.Left) != 1 || len(c.live()) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	c.run(c.d.services.collector.Run)
	if len(c.live()) != 1 {
		t.Error("it was discarded at once")
	}
	c.ahead.Add(int64(2 * time.Hour))
	c.run(c.d.services.collector.Run)
	c.asBefore()
}

// A moved disk is the volume; when its cloud refuses it, it is the disk that it
// was.
func TestMoveOnCeph(t *testing.T) {
	t.Parallel()
	c := newCloudSite(t)
	c.cloud.refuse = errors.New("quota exceeded")
	if res, err := c.give(quarantine.CloudOrder{As: quarantine.AsVolume, Move: true}); err == nil {
		t.Fatalf("%+v", res)
	}
	c.asBefore()
	c.cloud.refuse = nil
	res, err := c.give(quarantine.CloudOrder{As: quarantine.AsVolume, Move: true})
	if err != nil || len(res.Disks) != 1 || res.Disks[0].State != quarantine.Restored || res.Disks[0].RestoredTo != "volume-made-copy" {
		t.Fatalf("%+v, %v", res, err)
	}
	same(t, "the volume", c.content(c.spec+"/volume-made-copy"), c.bytes)
	c.run(c.d.services.collector.Run)
	if snaps := c.rbd("snap", "ls", "--all", c.spec+"/volume-made-copy"); strings.Contains(snaps, quarantine.SealSnapshot) {
		t.Errorf("the seal is on it still: %s", snaps)
	}
	if len(c.trash()) != 0 {
		t.Errorf("the trash has %v", c.trash())
	}
}
