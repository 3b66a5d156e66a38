package openstack

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// Complete implements quarantine.CloudReader. It gives only what d lacks: what
// a report said of the moment of the act stands, whatever the resource is
// called now. A name is given only beside the id that d has, or where d has
// none and the API knows whose the resource is. StartedAt and EndedAt are given
// for a server that is gone.
func (a *API) Complete(ctx context.Context, d quarantine.Deletion) (quarantine.Deletion, error) {
	if d.Cloud != a.cfg.Cloud || uuid(text(d.ResourceID)) != d.ResourceID {
		return quarantine.Deletion{}, a.about(d, quarantine.ErrNotFound)
	}
	s, err := a.session(ctx)
	if err != nil {
		return quarantine.Deletion{}, a.about(d, err)
	}
	known, err := s.lookUp(ctx, d)
	there := err == nil
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return quarantine.Deletion{}, a.about(d, err)
	}
	for _, p := range []struct {
		have quarantine.Principal
		give *quarantine.Principal
		name func(context.Context, text) (quarantine.Principal, error)
	}{
		{d.Project, &known.Project, s.projectName},
		{d.User, &known.User, s.userName},
		{d.Deleter, &known.Deleter, s.userName},
		{d.Image, &known.Image, s.imageName},
	} {
		if p.have.ID == "" || p.have.ID == p.give.ID {
			continue // what was looked up, if anything
		}
		if *p.give, err = p.name(ctx, text(p.have.ID)); err != nil {
			return quarantine.Deletion{}, a.about(d, err)
		}
	}
	if known.Flavor == "" && d.ResourceKind == quarantine.ResourceVolume && quarantine.IsUUID(d.Flavor) {
		t, err := s.named(ctx, kindType, blockStorage, "types/", text(d.Flavor))
		if err != nil {
			return quarantine.Deletion{}, a.about(d, err)
		}
		known.Flavor = t.Name
	}
	c, some := lacking(d, known)
	if !there && !some {
		return quarantine.Deletion{}, a.about(d, quarantine.ErrNotFound)
	}
	return c.Normalize(), nil
}

// lookUp returns what the services know of d's resource. ErrNotFound where
// they know nothing.
func (s *session) lookUp(ctx context.Context, d quarantine.Deletion) (quarantine.Deletion, error) {
	switch d.ResourceKind {
	case quarantine.ResourceVM:
		return s.lookUpServer(ctx, d)
	case quarantine.ResourceVolume:
		v, err := s.volume(ctx, d.ResourceID)
		if err != nil {
			return quarantine.Deletion{}, err
		}
		return v.deletion(ctx, s)
	case quarantine.ResourceImage:
		v, err := s.image(ctx, d.ResourceID)
		if err != nil {
			return quarantine.Deletion{}, err
		}
		return v.deletion(ctx, s)
	}
	return quarantine.Deletion{}, quarantine.ErrNotFound
}

// lookUpServer returns what Nova knows of a server, alive, dying or gone, and
// of the act.
func (s *session) lookUpServer(ctx context.Context, d quarantine.Deletion) (quarantine.Deletion, error) {
	known, err := s.aliveOrGone(ctx, d)
	if err != nil {
		return known, err
	}
	switch d.Kind {
	case quarantine.KindRebuild:
		known.Image = quarantine.Principal{} // it is the new one
	case quarantine.KindResize:
		known.Flavor = "" // it may be the new one
	}
	if d.RequestID == "" || d.Deleter.ID != "" {
		return known, nil
	}
	actions, err := s.actions(ctx, d.ResourceID)
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return known, err
	}
	for _, done := range actions {
		if string(done.Request) == d.RequestID {
			known.Deleter, err = s.userName(ctx, done.User)
			return known, err
		}
	}
	return known, nil
}

func (s *session) aliveOrGone(ctx context.Context, d quarantine.Deletion) (quarantine.Deletion, error) {
	v, err := s.server(ctx, d.ResourceID)
	switch {
	case err == nil:
		var devices map[device]string
		if len(d.Volumes) == 0 || slices.ContainsFunc(d.Volumes, func(v quarantine.VolumeRef) bool { return v.Device == "" }) {
			devices, err = s.devicesOf(ctx, d.ResourceID)
			if err != nil && !errors.Is(err, quarantine.ErrNotFound) { // it is gone since
				return quarantine.Deletion{}, err
			}
		}
		known, err := v.deletion(ctx, s, devices)
		if err != nil || d.Kind != quarantine.KindDelete && d.Kind != quarantine.KindSoftDelete {
			return known, err
		}
		err = s.addDeleter(ctx, d, &known)
		return known, err
	case !errors.Is(err, quarantine.ErrNotFound):
		return quarantine.Deletion{}, err
	}
	found, err := s.deletedServer(ctx, d.ResourceID)
	if err != nil {
		return quarantine.Deletion{}, err
	}
	if d.Kind == quarantine.KindDelete {
		return found.death(ctx, s)
	}
	return found.deletion(ctx, s, nil)
}

// deletedServer returns a server that is gone. Nova finds it by its uuid in the
// listing only. It lists a soft-deleted one too.
func (s *session) deletedServer(ctx context.Context, id string) (apiServer, error) {
	query := url.Values{"all_tenants": {"1"}, "deleted": {"true"}, "uuid": {id}}
	found := apiServer{}
	err := s.listServers(ctx, query, func(v apiServer) error {
		if v.ident() == id {
			found = v
		}
		return nil
	})
	if err == nil && found.ID == "" {
		err = quarantine.ErrNotFound
	}
	return found, err
}

// addDeleter tells who deletes a server that is still there: whose delete is
// the last thing that was asked of it. A request that Nova has no action for is
// its own: the reclaim of a server whose soft delete was asked for before.
func (s *session) addDeleter(ctx context.Context, d quarantine.Deletion, known *quarantine.Deletion) error {
	if d.Deleter.ID != "" {
		return nil
	}
	actions, err := s.actions(ctx, d.ResourceID)
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return err
	}
	if len(actions) == 0 || !deletes(actions[len(actions)-1]) {
		return nil
	}
	last := actions[len(actions)-1]
	if d.RequestID == "" || d.RequestID == string(last.Request) {
		known.RequestID, known.StartedAt = string(last.Request), utc(last.Start)
	} else if d.Kind != quarantine.KindDelete || slices.ContainsFunc(actions, func(a action) bool { return string(a.Request) == d.RequestID }) {
		return nil
	}
	known.Deleter, err = s.userName(ctx, last.User)
	return err
}

// lacking is the part of known that d lacks, as a Deletion of d's id, and
// whether there is any.
func lacking(d, known quarantine.Deletion) (quarantine.Deletion, bool) {
	c := quarantine.Deletion{
		ID: d.ID, Cloud: d.Cloud, CloudType: quarantine.CloudOpenStack, Kind: d.Kind,
		ResourceKind: d.ResourceKind, ResourceID: d.ResourceID,
	}
	bare := c
	texts := []struct{ have, know, give *string }{
		{&d.ResourceName, &known.ResourceName, &c.ResourceName},
		{&d.ServerID, &known.ServerID, &c.ServerID},
		{&d.Host, &known.Host, &c.Host},
		{&d.AvailabilityZone, &known.AvailabilityZone, &c.AvailabilityZone},
		{&d.KeyPair, &known.KeyPair, &c.KeyPair},
	}
	if d.Kind == quarantine.KindDelete { // of the others it is a part of the id
		texts = append(texts, struct{ have, know, give *string }{&d.RequestID, &known.RequestID, &c.RequestID})
	}
	for _, t := range texts {
		if *t.have == "" {
			*t.give = *t.know
		}
	}
	if d.Flavor == "" || quarantine.IsUUID(d.Flavor) {
		c.Flavor = known.Flavor
	}
	for _, p := range []struct{ have, know, give *quarantine.Principal }{
		{&d.Project, &known.Project, &c.Project},
		{&d.User, &known.User, &c.User},
		{&d.Deleter, &known.Deleter, &c.Deleter},
		{&d.Image, &known.Image, &c.Image},
	} {
		*p.give = principalLacking(*p.have, *p.know)
	}
	for k, v := range known.Metadata {
		if _, ok := d.Metadata[k]; !ok {
			if c.Metadata == nil {
				c.Metadata = map[string]string{}
			}
			c.Metadata[k] = v
		}
	}
	c.Tags, c.Addresses, c.Volumes = known.Tags, known.Addresses, known.Volumes
	if d.CreatedAt.IsZero() {
		c.CreatedAt = known.CreatedAt
	}
	if d.StartedAt.IsZero() {
		c.StartedAt = known.StartedAt
	}
	if d.EndedAt.IsZero() {
		c.EndedAt = known.EndedAt
	}
	return c, !c.Equal(bare) && !quarantine.Merge(d, c).Equal(d)
}

// principalLacking names what is lacking beside have's id, or all of know where
// have has no id, or nothing.
func principalLacking(have, know quarantine.Principal) quarantine.Principal {
	if know.ID == "" || have.ID != "" && have.ID != know.ID {
		return quarantine.Principal{}
	}
	give := know
	if have.ID != "" && have.Name != "" {
		give.Name = have.Name
	}
	// A domain's id, which is all that some reports have, gives way to its name
	// when they are merged only if it is the greater; so both are kept out of
	// each other's way.
	if have.ID != "" && have.Domain != "" && !strings.EqualFold(have.Domain, give.Domain) {
		give.Domain = have.Domain
	}
	return give
}
