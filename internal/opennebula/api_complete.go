package opennebula

import (
	"cmp"
	"context"
	"strconv"

	"quarantine/internal/quarantine"
)

// Complete implements quarantine.CloudReader. It gives only what d lacks: what
// a report said of the moment of the act stands, whatever the VM is called now.
// A name is given only beside the id that d has, or where d has none and
// OpenNebula knows whose the resource is. Of a VM everything is known for ever;
// of an image nothing once it is gone.
//
// The times, the host and the deleter of an act that the VM has lived through
// are those of its history record. Of a VM that is dead they are those of its
// death, even if that was a recover-delete and d says delete, or the reverse.
func (a *API) Complete(ctx context.Context, d quarantine.Deletion) (quarantine.Deletion, error) {
	if d.Cloud != a.cfg.Cloud {
		return quarantine.Deletion{}, a.about(d, quarantine.ErrNotFound)
	}
	id, err := number(d.ResourceID)
	if err != nil {
		return quarantine.Deletion{}, a.about(d, quarantine.ErrNotFound)
	}
	var known quarantine.Deletion
	switch d.ResourceKind {
	case quarantine.ResourceVM:
		v, err := a.vm(ctx, id)
		if err != nil {
			return quarantine.Deletion{}, a.about(d, err)
		}
		known, err = v.about(a.cfg.Cloud, d)
		if err != nil {
			return quarantine.Deletion{}, a.about(d, unreadable("%s", err))
		}
	case quarantine.ResourceImage:
		i, err := a.image(ctx, id)
		if err != nil {
			return quarantine.Deletion{}, a.about(d, err)
		}
		known = i.death().of(a.cfg.Cloud)
	default:
		return quarantine.Deletion{}, a.about(d, quarantine.ErrNotFound)
	}
	c := lacking(d, known)
	for _, p := range []struct {
		have, know quarantine.Principal
		give       *quarantine.Principal
		name       func(context.Context, string) (quarantine.Principal, error)
	}{
		{d.Project, known.Project, &c.Project, a.group},
		{d.User, known.User, &c.User, a.user},
		{d.Deleter, known.Deleter, &c.Deleter, a.user},
	} {
		*p.give, err = fullName(ctx, p.have, p.know, p.name)
		if err != nil {
			return quarantine.Deletion{}, a.about(d, err)
		}
	}
	return c.Normalize(), nil
}

// fullName names the principal that the report has, or where it has none the
// one that OpenNebula knows. It looks the principal up where that tells more.
func fullName(ctx context.Context, have, know quarantine.Principal, name func(context.Context, string) (quarantine.Principal, error)) (quarantine.Principal, error) {
	id := cmp.Or(have.ID, know.ID)
	if id == "" {
		return quarantine.Principal{}, nil
	}
	p, err := name(ctx, id)
	if err != nil {
		return quarantine.Principal{}, err
	}
	if know.ID == id {
		p.Name = cmp.Or(p.Name, know.Name)
	}
	p.Name = cmp.Or(have.Name, p.Name)
	p.Subject = cmp.Or(have.Subject, p.Subject)
	return p, nil
}

// lacking is the part of known that d lacks, as a Deletion of d's id, without
// the principals.
func lacking(d, known quarantine.Deletion) quarantine.Deletion {
	c := quarantine.Deletion{
		ID: d.ID, Cloud: d.Cloud, CloudType: quarantine.CloudOpenNebula, Kind: d.Kind,
		ResourceKind: d.ResourceKind, ResourceID: d.ResourceID,
	}
	for _, t := range []struct{ have, know, give *string }{
		{&d.ResourceName, &known.ResourceName, &c.ResourceName},
		{&d.Flavor, &known.Flavor, &c.Flavor},
		{&d.Host, &known.Host, &c.Host},
		{&d.RequestID, &known.RequestID, &c.RequestID},
	} {
		if *t.have == "" {
			*t.give = *t.know
		}
	}
	if d.Image == (quarantine.Principal{}) {
		c.Image = known.Image
	}
	if len(d.Metadata) == 0 {
		c.Metadata = known.Metadata
	}
	if len(d.Tags) == 0 {
		c.Tags = known.Tags
	}
	if len(d.Addresses) == 0 {
		c.Addresses = known.Addresses
	}
	if d.CreatedAt.IsZero() {
		c.CreatedAt = known.CreatedAt
	}
	if d.StartedAt.IsZero() {
		c.StartedAt = known.StartedAt
	}
	if d.EndedAt.IsZero() {
		c.EndedAt = known.EndedAt
	}
	return c
}

// vm asks for a VM, in whatever state.
func (a *API) vm(ctx context.Context, id int) (*vmXML, error) {
	const method = "one.vm.info"
	v := &vmXML{}
	if err := a.get(ctx, v, "VM", method, id, false); err != nil {
		return nil, err
	}
	return v, same(method, id, v.ID)
}

// image asks for an image.
func (a *API) image(ctx context.Context, id int) (*imageXML, error) {
	const method = "one.image.info"
	i := &imageXML{}
	if err := a.get(ctx, i, "IMAGE", method, id, false); err != nil {
		return nil, err
	}
	return i, same(method, id, i.ID)
}

// same checks that the answer is about what was asked.
func same(method string, asked int, given string) error {
	if given != strconv.Itoa(asked) {
		return unreadable("%s was asked about %d and answered about %q", method, asked, cut(given, 40))
	}
	return nil
}

// about is what the VM knows of the act that d reports. What it is going
// through itself, or went through last, may be another.
func (v *vmXML) about(cloud string, d quarantine.Deletion) (quarantine.Deletion, error) {
	acts, err := v.acts()
	if err != nil {
		return quarantine.Deletion{}, err
	}
	for _, a := range acts {
		if known := a.of(cloud); known.ID == d.ID {
			return known, nil
		}
	}
	if !deathOf(d.Kind) {
		return v.report(act{kind: d.Kind}).of(cloud), nil
	}
	for _, a := range acts {
		if deathOf(a.Kind) { // it died of the one, and the other is asked about
			return a.of(cloud), nil
		}
	}
	k := v.death()
	if v.State == stateDone {
		// A --delete-db: it died, and its disks were there still.
		k.StartedAt, k.EndedAt = unix(v.ETime), unix(v.ETime)
	}
	return k.of(cloud), nil
}
