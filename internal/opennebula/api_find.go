package opennebula

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"quarantine/internal/quarantine"
)

// namedPool is a pool of OpenNebula's in which something is found by its name or id.
type namedPool struct {
	what   string // in errors
	method string
	args   []any
	// root and element are how the pool and one of it are called.
	root, element string
}

// All that the caller may see (-2), without bounds.
var (
	userPool     = namedPool{"user", "one.userpool.info", nil, "USER_POOL", "USER"}
	groupPool    = namedPool{"group", "one.grouppool.info", nil, "GROUP_POOL", "GROUP"}
	networkPool  = namedPool{"network", "one.vnpool.info", []any{-2, -1, -1}, "VNET_POOL", "VNET"}
	templatePool = namedPool{"VM template", "one.templatepool.info", []any{-2, -1, -1}, "VMTEMPLATE_POOL", "VMTEMPLATE"}
)

// entryXML is what is used of the things in these pools.
type entryXML struct {
	ownerXML
	CPU    string `xml:"TEMPLATE>CPU"`
	VCPU   string `xml:"TEMPLATE>VCPU"`
	Memory string `xml:"TEMPLATE>MEMORY"` // MiB
}

// find returns the one of that id, or where it is no number, of that name.
// ErrNotFound if there is none, ErrInvalid if several have the name.
func (a *API) find(ctx context.Context, p namedPool, wanted string) (entryXML, error) {
	var found []entryXML
	byID := checkNumber("", wanted) == nil
	err := a.insist(ctx, func(ctx context.Context) error {
		found = nil
		doc, err := a.document(ctx, p.method, p.args...)
		if err != nil {
			return err
		}
		return inPool(doc, p.root, p.element, func(e entryXML) error {
			if byID && e.ID == wanted || !byID && e.Name == wanted {
				found = append(found, e)
			}
			return nil
		})
	})
	what := p.what + " " + strconv.Quote(cut(wanted, maxName))
	switch {
	case err != nil:
		return entryXML{}, fmt.Errorf("%s: %w", what, err)
	case len(found) == 0:
		return entryXML{}, fmt.Errorf("%s: %w", what, quarantine.ErrNotFound)
	case len(found) > 1:
		return entryXML{}, fmt.Errorf("%s: %w: %d have that name; give the id", what, quarantine.ErrInvalid, len(found))
	}
	return found[0], nil
}

// inPool calls each for the elements of that name of a pool.
func inPool[T any](doc []byte, root, name string, each func(T) error) error {
	return split(doc, root, 2, func(element []byte) error {
		if !bytes.HasPrefix(element, []byte("<"+name+">")) {
			return nil // the users' pool has their quotas, too
		}
		var v T
		if err := decodeElement(element, &v); err != nil {
			return err
		}
		return each(v)
	})
}

// owner is to whom something is given; -1 leaves what it is, which is the
// service's own account and group.
type owner struct{ uid, gid int }

// given reports whether it is given to anybody.
func (o owner) given() bool { return o.uid >= 0 || o.gid >= 0 }

// has reports whether that is so.
func (o owner) has(r ownerXML) bool {
	return (o.uid < 0 || r.UID == strconv.Itoa(o.uid)) && (o.gid < 0 || r.GID == strconv.Itoa(o.gid))
}

// findOwner finds the user, and the group: the user's own where none is named.
func (a *API) findOwner(ctx context.Context, group, domain, user string) (owner, error) {
	o := owner{-1, -1}
	if domain != "" {
		return o, fmt.Errorf("%w: OpenNebula has no domains", quarantine.ErrInvalid)
	}
	if user != "" {
		u, err := a.find(ctx, userPool, user)
		if err != nil {
			return o, err
		}
		if o, err = ownerIDs(u.ID, u.GID); err != nil {
			return o, fmt.Errorf("user %q: %w", user, err)
		}
	}
	if group != "" {
		g, err := a.find(ctx, groupPool, group)
		if err != nil {
			return o, err
		}
		if o.gid, err = number(g.ID); err != nil {
			return o, unreadable("a group has no id")
		}
	}
	return o, nil
}

// ownerIDs reads the ids of a user and of its group.
func ownerIDs(uid, gid string) (o owner, err error) {
	o.uid, err = number(uid)
	if err == nil {
		o.gid, err = number(gid)
	}
	if err != nil {
		return owner{-1, -1}, unreadable("a user has no id")
	}
	return o, nil
}

// target is an image datastore and where its images are.
type target struct {
	datastore int
	pool      quarantine.PoolRef
}

// source is the SOURCE of an image that is the RBD image of that name.
func (t target) source(image string) string { return t.pool.String() + "/" + image }

// findTarget returns the image datastore that is meant, as VolumePool does.
func (a *API) findTarget(ctx context.Context, wanted string) (target, error) {
	d, err := a.imageDatastore(ctx, wanted)
	if err != nil {
		return target{}, err
	}
	ref, err := a.poolOf(d)
	return target{d.ID, ref}, err
}
