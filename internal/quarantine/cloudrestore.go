package quarantine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// CloudRestorer gives disks back as volumes, images and servers of a cloud. It
// can remove nothing: what it made itself and could not hand over it takes back
// through the cloud's own API and through a Discarder.
//
// The way of one volume, and what is there after a crash between any two steps:
//
//  1. the custody log has the intent;
//  2. the disk is cloned into the cloud's pool, under a name of this service and
//     with a restore's mark on it (see Restorer.Clone, restoreMark): from here on
//     a clone is there, which the collector discards an hour later;
//  3. the clone is made independent of the disk, so that the disk can be purged
//     later (unless a copy-on-write clone is wanted);
//  4. the mark says that it is offered, and the cloud takes it over and renames
//     it: the collector discards what still has this service's name;
//  5. the mark says that it is given: nothing of this service touches it again;
//  6. the custody log says what came of it.
//
// An image of the image service is made of a clone with a protected snapshot, by
// its location. It keeps its name, so that after a crash in step 4 nothing tells
// whether it was taken over: it stays, and a run of the collector says so.
type CloudRestorer struct {
	ledger    *Ledger
	restorer  *Restorer
	clouds    []CloudWriter
	deletions Deletions
	snapshots Snapshotter
	reader    Reader
	discarder Discarder
	marks     Marks
	pause     func(ctx context.Context, d time.Duration) error
}

// CloudRestorerConfig is what a CloudRestorer is made of.
type CloudRestorerConfig struct {
	Restorer  *Restorer
	Clouds    []CloudWriter
	Deletions Deletions
	Snapshots Snapshotter
	Reader    Reader
	Discarder Discarder
	Marks     Marks
	// Pause waits, or returns ctx's error when it ends first. Nil: a timer.
	Pause func(ctx context.Context, d time.Duration) error
}

// NewCloudRestorer makes the service.
func NewCloudRestorer(c CloudRestorerConfig) *CloudRestorer {
	if c.Pause == nil {
		c.Pause = pause
	}
	return &CloudRestorer{
		ledger: c.Restorer.ledger, restorer: c.Restorer, clouds: c.Clouds, deletions: c.Deletions, snapshots: c.Snapshots,
		reader: c.Reader, discarder: c.Discarder, marks: c.Marks, pause: c.Pause,
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// CloudStep is how far a restore to a cloud is.
type CloudStep struct {
	// Disk is the id of the disk that the stage is about; empty: all.
	Disk  string
	Stage string
	// Done and Total are how much of the stage is done, in its own measure
	// (bytes for StageUpload); zero where that is not known.
	Done, Total uint64
	// Made is what the stage has made in the cloud; nil until then.
	Made *Made
}

// The stages of a restore to a cloud.
const (
	StageClone   = "clone"
	StageFlatten = "flatten"
	StageVolume  = "volume"
	StageImage   = "image"
	StageUpload  = "upload"
	StageServer  = "server"
	StageCleanUp = "clean-up"
)

// CloudTell is told of each step. It may be called by any goroutine, and returns
// at once.
type CloudTell func(CloudStep)

// CloudResult is what came of a restore to a cloud.
type CloudResult struct {
	Disks []Disk
	// Made are the resources in the order in which they were made, a server
	// last; after a failure those that could not be taken back.
	Made []Made
	// Removed says what a restore that failed has taken back, Left what it could
	// not take back, with the reason.
	Removed, Left []string
}

// Restore gives the disk, or the VM's disks, back as the order says. What it
// makes for one order is made as a unit: on error, or when ctx ends, all of it
// is taken back before Restore returns, and the result says what that was. The
// disks are in quarantine then as they were before.
func (r *CloudRestorer) Restore(ctx context.Context, actor string, o CloudOrder, tell CloudTell) (CloudResult, error) {
	if err := required(actor, "who"); err != nil {
		return CloudResult{}, err
	}
	if tell == nil {
		tell = func(CloudStep) {}
	}
	plan, err := r.Plan(ctx, o)
	if err != nil {
		return CloudResult{}, err
	}
	cloud, err := r.cloud(plan.Cloud, Disk{})
	if err != nil {
		return CloudResult{}, err
	}
	w := &cloudWork{CloudRestorer: r, actor: actor, order: o, plan: plan, to: cloud, tell: tell}
	defer w.release()
	if err := w.run(ctx); err != nil {
		// Also when the caller has gone: nothing is left behind.
		w.undo(context.WithoutCancel(ctx))
		return w.result, err
	}
	for _, c := range w.copies {
		if c.made != nil {
			w.result.Made = append(w.result.Made, *c.made)
		}
	}
	if w.server != nil {
		w.result.Made = append(w.result.Made, *w.server)
	}
	return w.result, nil
}

// cloudWork is one restore.
type cloudWork struct {
	*CloudRestorer
	actor string
	order CloudOrder
	plan  CloudPlan
	to    CloudWriter
	tell  CloudTell

	copies []*cloudCopy
	server *Made
	result CloudResult
}

// cloudCopy is one disk's image on its way to the cloud.
type cloudCopy struct {
	item PlanItem
	name string // of the RBD image, until the cloud gives it another
	key  Key    // of the image; zero until it is known
	made *Made  // nil until the cloud has it
	fate copyFate
	// unused ends the image's use; nil until a cloud is asked to take it over.
	unused func()
}

// copyFate says whose a disk's copy is, and so what is to be taken back.
type copyFate int

const (
	// fateNone: nothing was made of the disk, or nothing is left of it.
	fateNone copyFate = iota
	// fateCopy: there may be a copy in the cloud's pool, which is this
	// service's.
	fateCopy
	// fateGiven: the cloud has the copy.
	fateGiven
	// fateSent: the cloud has an image that was sent, and no copy is in the pools.
	fateSent
	// fateMoved: the cloud has the disk itself.
	fateMoved
)

// release ends the use of the copies.
func (w *cloudWork) release() {
	for _, c := range w.copies {
		if c.unused != nil {
			c.unused()
		}
	}
}

func (w *cloudWork) run(ctx context.Context) error {
	for _, it := range w.plan.Items {
		c := &cloudCopy{item: it, name: restoreName(it.Disk, w.ledger.clock().UnixMicro())}
		w.copies = append(w.copies, c)
		var d Disk
		var err error
		switch {
		case it.How == howMove:
			d, err = w.moved(ctx, c)
		case w.order.As == AsImage:
			d, err = w.image(ctx, c)
		default:
			d, err = w.volume(ctx, c)
		}
		if err != nil {
			return err
		}
		w.result.Disks = append(w.result.Disks, d)
		w.tell(CloudStep{Disk: it.Disk, Stage: w.stageOf(), Made: c.made})
	}
	if w.order.As == AsServer {
		return w.boot(ctx)
	}
	return nil
}

// stageOf is the stage in which the cloud takes an image over.
func (w *cloudWork) stageOf() string {
	if w.order.As == AsImage {
		return StageImage
	}
	return StageVolume
}

// detail is what the custody log says of the copy's way.
func (w *cloudWork) detail(c *cloudCopy) map[string]string {
	m := map[string]string{"cloud": w.to.Name(), "for": w.order.As, "resource_name": c.item.Name}
	if w.order.Project != "" {
		m["project"] = w.order.Project
	}
	return m
}

// volume makes a volume of a copy of the disk.
func (w *cloudWork) volume(ctx context.Context, c *cloudCopy) (Disk, error) {
	detail := w.detail(c)
	return w.cloned(ctx, c, AsVolume, detail, func(ctx context.Context) error {
		if err := w.offer(ctx, c, AsVolume); err != nil {
			return err
		}
		w.tell(CloudStep{Disk: c.item.Disk, Stage: StageVolume})
		return w.ledger.around("restore.adopt", func() error {
			made, err := w.to.AdoptVolume(ctx, w.volumeOrder(c))
			if err != nil {
				return fmt.Errorf("make a volume of %s/%s in cloud %s: %w", c.item.dst, c.name, w.to.Name(), err)
			}
			return w.given(ctx, c, AsVolume, made, detail)
		})
	})
}

func (w *cloudWork) volumeOrder(c *cloudCopy) VolumeOrder {
	return VolumeOrder{
		Source: c.name, SizeBytes: c.item.SizeBytes, Name: c.item.Name, Project: w.order.Project, Domain: w.order.Domain, Owner: w.order.Owner, Type: w.order.VolumeType,
		Bootable: c.item.Bootable, Metadata: map[string]string{metadataDisk: c.item.Disk},
	}
}

// metadataDisk is the key under which a restored resource names its disk.
const metadataDisk = "quarantine_disk"

// finalOf is the name that AdoptVolume gives an image of that name; "": not known
// before.
func finalOf(to CloudWriter, name string) string {
	prefix := to.Traits().VolumePrefix
	if prefix == "" {
		return ""
	}
	return prefix + strings.TrimPrefix(name, RestorePrefix)
}

// moved makes a volume of the disk itself.
func (w *cloudWork) moved(ctx context.Context, c *cloudCopy) (Disk, error) {
	detail := w.detail(c)
	w.tell(CloudStep{Disk: c.item.Disk, Stage: StageVolume})
	return w.restorer.move(ctx, w.actor, c.item.Disk, moveOrder{name: c.name, final: finalOf(w.to, c.name), reason: w.order.Reason, detail: detail, take: func(ctx context.Context) error {
		order := w.volumeOrder(c)
		order.Evidence = true
		made, err := w.to.AdoptVolume(ctx, order)
		if err != nil {
			return fmt.Errorf("make a volume of disk %s in cloud %s: %w", c.item.Disk, w.to.Name(), err)
		}
		c.made, c.fate, detail["made"] = &made, fateMoved, made.ID
		return nil
	}})
}

// image makes an image of the disk, by location or by sending it.
func (w *cloudWork) image(ctx context.Context, c *cloudCopy) (Disk, error) {
	if c.item.How == howUpload {
		return w.upload(ctx, c)
	}
	refused := false
	detail := w.detail(c)
	d, err := w.cloned(ctx, c, AsImage, detail, func(ctx context.Context) error {
		key, err := w.find(ctx, c)
		if err != nil {
			return err
		}
		err = w.ledger.around("restore.snapshot", func() error { return w.snapshots.ProtectSnapshot(ctx, key, imageSnapshot) })
		if err != nil {
			return err
		}
		if err := w.offer(ctx, c, AsImage); err != nil {
			return err
		}
		w.tell(CloudStep{Disk: c.item.Disk, Stage: StageImage})
		return w.ledger.around("restore.adopt", func() error {
			made, err := w.to.AdoptImage(ctx, w.imageOrder(c))
			if err != nil {
				refused = errors.Is(err, ErrRefused) && !w.to.Traits().NoUpload
				err = fmt.Errorf("make an image of %s/%s in cloud %s: %w", c.item.dst, c.name, w.to.Name(), err)
				if !errors.Is(err, ErrUnavailable) { // it has none, and the copy can go
					err = errors.Join(err, w.mark(context.WithoutCancel(ctx), c, AsImage, phaseDiscard))
				}
				return err
			}
			return w.given(ctx, c, AsImage, made, detail)
		})
	})
	if !refused {
		return d, err
	}
	// The cloud takes no locations: the copy goes, and the bytes are sent.
	if err := w.discard(context.WithoutCancel(ctx), c); err != nil {
		return d, err
	}
	return w.upload(ctx, c)
}

// imageSnapshot is the name of the snapshot that an image's location ends with.
const imageSnapshot = "snap"

func (w *cloudWork) imageOrder(c *cloudCopy) ImageOrder {
	return ImageOrder{
		Source: c.name, FSID: c.item.dst.FSID, Name: c.item.Name, Project: w.order.Project, Domain: w.order.Domain, Owner: w.order.Owner,
		SizeBytes: c.item.SizeBytes, Properties: map[string]string{metadataDisk: c.item.Disk},
	}
}

// cloned makes a copy of the disk in the cloud's pool and goes on with it.
func (w *cloudWork) cloned(ctx context.Context, c *cloudCopy, as string, detail map[string]string, then func(ctx context.Context) error) (Disk, error) {
	w.tell(CloudStep{Disk: c.item.Disk, Stage: StageClone})
	c.fate = fateCopy
	return w.restorer.cloneAs(ctx, w.actor, c.item.Disk, cloneOrder{
		dst: c.item.dst, name: c.name, flatten: c.item.How == howCopy, reason: w.order.Reason, as: as, detail: detail, marked: true,
		progress: func(done, total uint64) {
			w.tell(CloudStep{Disk: c.item.Disk, Stage: StageFlatten, Done: done, Total: total})
		},
		then: then,
	})
}

// find returns the key of the copy by its name. ErrNotFound if there is none.
func (w *cloudWork) find(ctx context.Context, c *cloudCopy) (Key, error) {
	if c.key.ImageID != "" {
		return c.key, nil
	}
	live, err := w.ledger.images.LiveImages(ctx, c.item.dst, c.name)
	if err != nil {
		return Key{}, fmt.Errorf("look for %s/%s: %w", c.item.dst, c.name, err)
	}
	if live[c.name] == "" {
		return Key{}, fmt.Errorf("%s/%s: %w", c.item.dst, c.name, ErrNotFound)
	}
	c.key = c.item.dst.Key(live[c.name])
	return c.key, nil
}

// offer marks that a cloud is about to take the copy over. From here on to the
// end of the restore the copy is in use: should the cloud delete it, because it
// failed or because it is told to, it is no disk that died, and the adopter
// leaves it alone. Its mark does not say so, so that after a crash, when nobody
// can tell who has deleted it, it is kept.
func (w *cloudWork) offer(ctx context.Context, c *cloudCopy, as string) error {
	if _, err := w.find(ctx, c); err != nil {
		return err
	}
	c.unused = w.ledger.use(c.key.DiskID())
	err := w.mark(ctx, c, as, phaseOffered)
	if err != nil { // it was not asked, whatever the mark says now
		err = errors.Join(err, w.mark(context.WithoutCancel(ctx), c, as, phaseDiscard))
	}
	return err
}

func (w *cloudWork) mark(ctx context.Context, c *cloudCopy, as, phase string) error {
	return w.restorer.mark(ctx, c.key, restoreMark{
		Of: c.item.disk.Key, To: c.item.dst, Name: c.name, As: as, By: w.actor, Phase: phase, ImageID: c.key.ImageID,
	})
}

// given notes that the cloud has the copy. It has it whether or not the mark can
// be written: then an image that the image service has is told of by the
// collector, and a volume is known by its other name.
func (w *cloudWork) given(ctx context.Context, c *cloudCopy, as string, made Made, detail map[string]string) error {
	c.made, c.fate, detail["made"] = &made, fateGiven, made.ID
	if err := w.mark(context.WithoutCancel(ctx), c, as, phaseGiven); err != nil {
		w.ledger.log.Warn("the mark of a restore could not be renewed", "disk", c.item.Disk, "pool", c.item.dst.String(), "image_id", c.key.ImageID, "error", err)
	}
	return nil
}

// boot makes the server of the volumes, the first of which boots.
func (w *cloudWork) boot(ctx context.Context) error {
	root := w.copies[0]
	o := ServerOrder{
		Name: w.plan.Name, Project: w.order.Project, Domain: w.order.Domain, Owner: w.order.Owner, Flavor: w.order.Flavor, Network: w.order.Network,
		Defanged: w.order.Defanged, Metadata: map[string]string{metadataDisk: root.item.Disk},
	}
	for i, c := range w.copies {
		switch {
		case c.made.Transfer != nil:
			return refusedf("the volume of disk %s could not be made in project %s, and so no server can boot from it there", c.item.Disk, w.order.Project)
		case i == 0:
			o.Root = c.made.ID
		default:
			o.Data = append(o.Data, c.made.ID)
		}
	}
	w.tell(CloudStep{Stage: StageServer})
	e := Entry{Act: "restore", Actor: w.actor, Reason: w.order.Reason, Detail: w.detail(root)}
	e.Detail["as"], e.Detail["resource_name"], e.Detail["root_volume"] = AsServer, o.Name, o.Root
	return w.ledger.witnessed(ctx, root.item.disk, e, func() error {
		return w.ledger.around("restore.boot", func() error {
			made, err := w.to.BootServer(ctx, o)
			if err != nil {
				return fmt.Errorf("make server %s in cloud %s: %w", o.Name, w.to.Name(), err)
			}
			w.server, e.Detail["made"] = &made, made.ID
			w.tell(CloudStep{Stage: StageServer, Made: &made})
			return nil
		})
	})
}
