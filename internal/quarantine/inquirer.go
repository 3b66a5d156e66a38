package quarantine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Inquirer asks the clouds' own APIs for what their events did not say: who and
// where, the dead that no event told of, and the living, because a cloud
// forgets the addresses of a deleted server and everything of a deleted volume.
//
// It removes nothing, and only a cloud's plain word that a resource was deleted
// counts as a report of a deletion: what a listing merely leaves out is learnt,
// never acted upon.
type Inquirer struct {
	recorder   *Recorder
	reconciler *Reconciler
	deletions  Deletions
	disks      Disks
	images     Images
	clusters   Clusters
	cfg        InquirerConfig
	unanswered *unanswered
	// covering keeps a second Coverage from asking the cloud and the pools for
	// all at the same time.
	covering sync.Mutex
}

// InquirerConfig is what the Inquirer works with.
type InquirerConfig struct {
	Clouds    []CloudReader
	Inventory Inventory
	Inquiries Inquiries
	Marks     Marks
	Clock     Clock
	Log       *slog.Logger
	// Every is how often the background loop looks for Deletions that no API
	// was asked about.
	Every time.Duration
	// Settle is how long after it was reported the background loop leaves alone
	// a Deletion of which the cloud has nothing to forget any more: while many
	// resources are deleted at once, the cloud's APIs have enough to do.
	Settle time.Duration
	// Lookback is how far into the past the first run looks for the dead, and
	// for how long an unexplained disk is asked about.
	Lookback time.Duration
	// Keep is how long the sighting of a dead resource is kept.
	Keep time.Duration
}

const (
	// overlap is by how much a run looks further back than the last one began:
	// a cloud's database may commit a deletion later than it dates it.
	overlap = time.Hour
	// inquiryPage bounds what is read and written at once.
	inquiryPage = 500
)

// NewInquirer makes the Inquirer. It shares the recorder's and the reconciler's
// ports.
func NewInquirer(rec *Recorder, r *Reconciler, cfg InquirerConfig) *Inquirer {
	return &Inquirer{
		recorder: rec, reconciler: r, deletions: rec.deletions, disks: rec.ledger.disks, images: rec.adopter.images,
		clusters: rec.clusters, cfg: cfg, unanswered: newUnanswered(cfg.Clock),
	}
}

// Clouds names the clouds that can be asked.
func (q *Inquirer) Clouds() []string {
	names := []string{}
	for _, c := range q.cfg.Clouds {
		names = append(names, c.Name())
	}
	return names
}

// Run completes the new Deletions as they come, until ctx ends. A cloud that
// does not answer is asked again later; the disks are safe meanwhile, and
// nameless.
func (q *Inquirer) Run(ctx context.Context) error {
	if len(q.cfg.Clouds) == 0 {
		return nil
	}
	tick := time.NewTicker(q.cfg.Every)
	defer tick.Stop()
	down := map[string]bool{}
	for {
		for _, cloud := range q.cfg.Clouds {
			err := q.complete(ctx, cloud, q.settled)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil && !down[cloud.Name()] { // once for each outage
				q.cfg.Log.Warn("the cloud's API cannot complete what is known of deletions; it is asked again", "cloud", cloud.Name(), "error", err)
			}
			down[cloud.Name()] = err != nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// settled reports whether the time has come to ask about a Deletion. A server
// that is still dying is asked about at once, because the cloud forgets its
// floating addresses with it.
func (q *Inquirer) settled(d *Deletion) bool {
	dying := d.ResourceKind == ResourceVM && d.EndedAt.IsZero()
	return dying || !q.cfg.Clock().Before(d.ReceivedAt.Add(q.cfg.Settle))
}

// complete asks the cloud about each Deletion that it was not asked about yet,
// and that is due.
func (q *Inquirer) complete(ctx context.Context, cloud CloudReader, due func(*Deletion) bool) error {
	since := q.cfg.Clock().Add(-q.cfg.Lookback)
	r := q.round()
	for {
		page, err := q.cfg.Inquiries.Unasked(ctx, cloud.Name(), since, inquiryPage)
		if err != nil {
			return fmt.Errorf("find the deletions that %s was not asked about: %w", cloud.Name(), err)
		}
		for _, d := range page {
			if !due(&d) {
				continue
			}
			if !r.try(d.ID, func() error { return q.completeOne(ctx, cloud, d) }) || ctx.Err() != nil {
				return r.err()
			}
		}
		// What could not be answered stays, and comes first again: the next page
		// begins where this one ends.
		if len(page) < inquiryPage || page[len(page)-1].ReceivedAt.Equal(since) {
			return r.err()
		}
		since = page[len(page)-1].ReceivedAt
	}
}

func (q *Inquirer) completeOne(ctx context.Context, cloud CloudReader, d Deletion) error {
	more, err := cloud.Complete(ctx, d)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return fmt.Errorf("ask %s about the %s of %s %s: %w", cloud.Name(), d.Kind, d.ResourceKind, d.ResourceID, err)
	default:
		d = Merge(d, timely(d, more, q.cfg.Clock()))
	}
	if d, err = q.withSighting(ctx, d); err != nil {
		return err
	}
	if err := q.recorder.Learn(ctx, []Deletion{d}); err != nil {
		return err
	}
	if err := q.cfg.Inquiries.Asked(ctx, d); err != nil {
		return fmt.Errorf("mark deletion %s as asked about: %w", d.ID, err)
	}
	return nil
}

// withSighting fills in what is missing from what was known of the resource
// while it lived. What the Deletion itself says is nearer to the act, and
// stands.
func (q *Inquirer) withSighting(ctx context.Context, d Deletion) (Deletion, error) {
	s, err := q.cfg.Inventory.Sighting(ctx, d.Cloud, d.ResourceKind, d.ResourceID)
	if errors.Is(err, ErrNotFound) {
		return d, nil
	}
	if err != nil {
		return d, fmt.Errorf("look for the last sighting of %s %s: %w", d.ResourceKind, d.ResourceID, err)
	}
	return q.fill(ctx, d, s, d.FirstSign())
}

// fill fills in the Deletion of a resource that died at that time or before from
// its sighting.
func (q *Inquirer) fill(ctx context.Context, d Deletion, s Sighting, death time.Time) (Deletion, error) {
	known, err := q.stillRequired(ctx, s)
	if err != nil {
		return d, err
	}
	if d.ServerID == "" {
		if known.ServerID, err = q.diedWith(ctx, known, death); err != nil {
			return d, err
		}
	}
	return q.withServer(ctx, fillIn(d, timely(d, known, s.SeenAt)))
}

// fresh is how long after an act that its resource outlived the resource is
// still taken for what it was at the act.
const fresh = 15 * time.Minute

// timely is what was told of a resource at a later time, without what may have
// changed since the act: an address that a server got days after its rebuild was
// not the old disk's. A name stays, because it only says which server is meant.
func timely(act, told Deletion, at time.Time) Deletion {
	if !act.livesOn() || at.Sub(act.FirstSign()) <= fresh {
		return told
	}
	told.Flavor, told.Host, told.AvailabilityZone, told.KeyPair = "", "", "", ""
	told.Addresses, told.Volumes, told.Tags, told.Metadata = nil, nil, nil, nil
	return told
}

// diedWith is the server that a volume was seen attached to, if the server was
// dead when the volume died. From a server that lived on the volume was detached
// since it was seen, and had nothing to do with it any more.
func (q *Inquirer) diedWith(ctx context.Context, seen Deletion, death time.Time) (server string, err error) {
	if seen.ServerID == "" || seen.ResourceKind != ResourceVolume {
		return seen.ServerID, nil
	}
	end, err := q.deletions.Deletion(ctx, DeletionID(seen.Cloud, KindDelete, seen.ServerID, ""))
	switch {
	case errors.Is(err, ErrNotFound):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("look for the deletion of the server %s of volume %s: %w", seen.ServerID, seen.ResourceID, err)
	case end.FirstSign().After(death.Add(ClockSkew)):
		return "", nil
	case len(end.Volumes) > 0 && !slices.ContainsFunc(end.Volumes, func(v VolumeRef) bool { return v.ID == seen.ResourceID }):
		return "", nil
	}
	return seen.ServerID, nil
}

// stillRequired is the sighting's Deletion, without the word that a disk of a
// name must be there where another act on the resource may have destroyed it
// since.
func (q *Inquirer) stillRequired(ctx context.Context, s Sighting) (Deletion, error) {
	d := s.Deletion
	d.Disks = slices.Clone(d.Disks)
	for i, ref := range d.Disks {
		if !ref.Required {
			continue
		}
		dels, err := q.deletions.DeletionsOf(ctx, JoinKeys(ref.Name))
		if err != nil {
			return d, fmt.Errorf("find the deletions of %q: %w", ref.Name, err)
		}
		d.Disks[i].Required = !slices.ContainsFunc(dels, func(o Deletion) bool {
			return o.ID != d.ID && o.FirstSign().After(s.SeenAt.Add(-ClockSkew))
		})
	}
	return d, nil
}

// withServer tells of a volume that its server took with it what is known of
// that server's end: a cloud forgets a deleted volume, and where a server boots
// from one it is all that is left of it. Of a volume that stays when its server
// goes, the server's end says nothing.
func (q *Inquirer) withServer(ctx context.Context, d Deletion) (Deletion, error) {
	if d.ResourceKind != ResourceVolume || d.ServerID == "" {
		return d, nil
	}
	server, err := q.cfg.Inventory.Sighting(ctx, d.Cloud, ResourceVM, d.ServerID)
	if errors.Is(err, ErrNotFound) {
		return d, nil
	}
	if err != nil {
		return d, fmt.Errorf("look for the last sighting of the server %s of volume %s: %w", d.ServerID, d.ResourceID, err)
	}
	if !slices.ContainsFunc(server.Deletion.Volumes, func(v VolumeRef) bool { return v.ID == d.ResourceID && v.DeleteOnTermination }) {
		return d, nil
	}
	d.Addresses = fillAddresses(d.Addresses, server.Deletion.Addresses)
	if d.Deleter != (Principal{}) {
		return d, nil
	}
	end, err := q.deletions.Deletion(ctx, DeletionID(d.Cloud, KindDelete, d.ServerID, ""))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return d, fmt.Errorf("look for the deletion of the server %s of volume %s: %w", d.ServerID, d.ResourceID, err)
	}
	d.Deleter = end.Deleter
	return d, nil
}

// fillIn gives the Deletion what it lacks of what was known before.
func fillIn(d, known Deletion) Deletion {
	for _, f := range []struct {
		to   *string
		from string
	}{
		{&d.ResourceName, known.ResourceName}, {&d.ServerID, known.ServerID},
		{&d.Host, known.Host}, {&d.AvailabilityZone, known.AvailabilityZone}, {&d.KeyPair, known.KeyPair},
	} {
		if *f.to == "" {
			*f.to = f.from
		}
	}
	if d.Flavor == "" || IsUUID(d.Flavor) {
		d.Flavor = mergeNames(d.Flavor, known.Flavor)
	}
	d.Project, d.User = fillPrincipal(d.Project, known.Project), fillPrincipal(d.User, known.User)
	// The image that a rebuild's disk was made from is not the one that was
	// seen after it.
	if d.Kind != KindRebuild {
		d.Image = fillPrincipal(d.Image, known.Image)
	}
	if d.CreatedAt.IsZero() {
		d.CreatedAt = known.CreatedAt
	}
	if len(d.Metadata) == 0 {
		d.Metadata = known.Metadata
	}
	if len(d.Tags) == 0 {
		d.Tags = known.Tags
	}
	d.Addresses = fillAddresses(d.Addresses, known.Addresses)
	if len(d.Volumes) == 0 {
		d.Volumes = known.Volumes
	}
	if d.ID == known.ID {
		d.Disks = mergeRefs(d.Disks, known.Disks)
	}
	return d
}

// fillAddresses adds what was known before to what a report says. Where it says
// any, these are all of the fixed ones, as they were at the act; of the floating
// ones no event tells.
func fillAddresses(told, known []Address) []Address {
	if len(told) == 0 {
		return known
	}
	floating := slices.DeleteFunc(slices.Clone(known), func(a Address) bool { return a.Type != AddressFloating })
	return mergeAddresses(told, floating)
}

// fillPrincipal fills in the names of the same id; another's are not taken.
func fillPrincipal(p, known Principal) Principal {
	switch {
	case p == Principal{}:
		return known
	case p.ID != known.ID:
		return p
	}
	if p.Name == "" {
		p.Name = known.Name
	}
	if p.Domain == "" {
		p.Domain = known.Domain
	}
	if p.Subject == "" {
		p.Subject = known.Subject
	}
	return p
}
