package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// volumePool is a pool of Cinder, as its scheduler knows it.
type volumePool struct {
	Name         text `json:"name"` // host@backend#pool
	Capabilities struct {
		Backend  text `json:"volume_backend_name"`
		Protocol text `json:"storage_protocol"`
		State    text `json:"backend_state"`
		// Location is, of the RBD driver, ceph:<conf>:<fsid>:<user>:<pool>.
		Location text `json:"location_info"`
	} `json:"capabilities"`
}

func (p volumePool) up() bool { return p.Capabilities.State == "up" }

// place is where the pool is in Ceph by Cinder's own word.
func (p volumePool) place() (quarantine.PoolRef, bool) {
	parts := strings.Split(string(p.Capabilities.Location), ":") // the path may have colons too
	n := len(parts)
	if n < 5 || parts[0] != "ceph" || uuid(text(parts[n-3])) == "" || parts[n-1] == "" {
		return quarantine.PoolRef{}, false
	}
	return quarantine.PoolRef{FSID: uuid(text(parts[n-3])), Pool: parts[n-1]}, true
}

func (s *session) volumePools(ctx context.Context) ([]volumePool, error) {
	var answer struct {
		Pools json.RawMessage `json:"pools"`
	}
	if err := s.get(ctx, blockStorage, "scheduler-stats/get_pools", url.Values{"detail": {"true"}}, &answer); err != nil {
		return nil, err
	}
	var pools []volumePool
	if json.Unmarshal(answer.Pools, &pools) != nil {
		return nil, fmt.Errorf("cloud %s: list Cinder's pools: %w: the answer is none", s.api.cfg.Cloud, quarantine.ErrUnavailable)
	}
	return pools, nil
}

// configuredPool is what the configuration says of volumes of the type in the
// pool.
func (a *API) configuredPool(volumeType string, p volumePool) (quarantine.PoolRef, bool) {
	backend, _, _ := strings.Cut(string(p.Name), "#")
	for _, key := range []string{string(p.Name), backend, volumeType} {
		if ref, ok := a.cfg.VolumePools[key]; ok && key != "" {
			return ref, true
		}
	}
	return quarantine.PoolRef{}, false
}

// VolumePool implements quarantine.CloudWriter.
func (a *API) VolumePool(ctx context.Context, volumeType string) (quarantine.PoolRef, error) {
	s, err := a.session(ctx)
	if err != nil {
		return quarantine.PoolRef{}, err
	}
	t, err := s.findTarget(ctx, volumeType)
	return t.pool, err
}

// target is where a new volume of a type goes.
type target struct {
	typeName string
	host     string // Cinder's pool: host@backend#pool
	pool     quarantine.PoolRef
}

type volumeType struct {
	ID    text       `json:"id"`
	Name  text       `json:"name"`
	Specs dictionary `json:"extra_specs"`
}

// findType returns the type of that name or id, or the default one.
func (s *session) findType(ctx context.Context, wanted string) (volumeType, error) {
	if wanted == "" {
		var answer struct {
			Type volumeType `json:"volume_type"`
		}
		err := s.get(ctx, blockStorage, "types/default", nil, &answer)
		if errors.Is(err, quarantine.ErrNotFound) {
			return volumeType{}, nil // the site has none: any backend does
		}
		return answer.Type, err
	}
	var found volumeType
	err := list(ctx, s, blockStorage, "types", "volume_types", url.Values{"is_public": {"None"}}, func(t volumeType) error {
		if string(t.Name) == wanted || string(t.ID) == wanted {
			found = t
		}
		return nil
	})
	if err == nil && found.ID == "" {
		err = fmt.Errorf("cloud %s: volume type %q: %w", s.api.cfg.Cloud, wanted, quarantine.ErrNotFound)
	}
	return found, err
}

func (t volumeType) ident() string { return string(t.ID) }

// findTarget chooses Cinder's pool for volumes of a type: one that is up, that
// the type allows (its volume_backend_name), that is on RBD, and of which it
// is known where in Ceph it is. If several are left they must all be the same
// pool of Ceph.
func (s *session) findTarget(ctx context.Context, wanted string) (target, error) {
	t, err := s.findType(ctx, wanted)
	if err != nil {
		return target{}, err
	}
	pools, err := s.volumePools(ctx)
	if err != nil {
		return target{}, err
	}
	subject := fmt.Sprintf("cloud %s: volume type %q", s.api.cfg.Cloud, orDefault(string(t.Name), wanted))
	var found target
	onRBD, down := 0, 0
	for _, p := range pools {
		if backend := t.Specs["volume_backend_name"]; backend != "" && backend != string(p.Capabilities.Backend) {
			continue
		}
		if protocol := p.Capabilities.Protocol; protocol != "ceph" && protocol != "" {
			continue
		}
		onRBD++
		if p.Capabilities.State == "down" {
			down++
			continue
		}
		ref, ok := s.api.configuredPool(string(t.Name), p)
		if !ok {
			if ref, ok = p.place(); !ok {
				continue
			}
		}
		switch {
		case found.host == "":
			found = target{string(t.Name), string(p.Name), ref}
		case found.pool != ref:
			return target{}, fmt.Errorf("%s: %w: it may be in %s of %s and in %s of %s; name a type with a volume_backend_name", subject, quarantine.ErrInvalid, found.pool, found.host, ref, p.Name)
		}
	}
	switch {
	case found.host != "":
		return found, nil
	case onRBD == 0:
		return target{}, fmt.Errorf("%s: no backend for it is on RBD: %w", subject, quarantine.ErrNotFound)
	case down == onRBD:
		return target{}, fmt.Errorf("%s: %w: every backend for it is down", subject, quarantine.ErrUnavailable)
	}
	return target{}, fmt.Errorf("%s: %w: Cinder does not tell the pool of Ceph; the configuration must (volume pools, by the name of the type or the backend)", subject, quarantine.ErrInvalid)
}

// maxImagesSeen is how many images are looked at for a location.
const maxImagesSeen = 1000

// errEnough ends a listing.
var errEnough = errors.New("enough was listed")

// ImagePool implements quarantine.CloudWriter. If it is not configured, the
// newest image tells it whose location is shown and whose name in the pool is
// its id, as Glance's own are. ErrNotFound if all such images are in clusters
// that are not in the service's care.
func (a *API) ImagePool(ctx context.Context) (quarantine.PoolRef, error) {
	pool, err := a.findImagePool(ctx)
	if err == nil && a.cfg.ImagePool == (quarantine.PoolRef{}) && !a.caresFor(pool.FSID) {
		return quarantine.PoolRef{}, fmt.Errorf("cloud %s: Glance's images are in another cluster, %s: %w", a.cfg.Cloud, pool, quarantine.ErrNotFound)
	}
	return pool, err
}

// findImagePool is ImagePool; it returns a pool of a cluster that is not in the
// service's care where it finds no other.
func (a *API) findImagePool(ctx context.Context) (quarantine.PoolRef, error) {
	if a.cfg.ImagePool != (quarantine.PoolRef{}) {
		return a.cfg.ImagePool, nil
	}
	s, err := a.session(ctx)
	if err != nil {
		return quarantine.PoolRef{}, err
	}
	var found quarantine.PoolRef
	n, elsewhere := 0, false
	err = list(ctx, s, imageService, "images", "images", url.Values{"visibility": {"all"}}, func(v apiImage) error {
		for _, p := range v.places() {
			ours := a.caresFor(p.fsid)
			if p.image == v.ident() && (ours || found == quarantine.PoolRef{}) {
				found = quarantine.PoolRef{FSID: p.fsid, Pool: p.pool}
				if ours {
					return errEnough
				}
			}
		}
		elsewhere = elsewhere || slices.ContainsFunc(v.Locations, func(l string) bool { return !strings.HasPrefix(l, "rbd://") })
		if n++; n == maxImagesSeen {
			return errEnough
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return quarantine.PoolRef{}, err
	case found != quarantine.PoolRef{}:
		return found, nil
	case elsewhere:
		return found, fmt.Errorf("cloud %s: Glance's images are not on RBD: %w", a.cfg.Cloud, quarantine.ErrNotFound)
	}
	return found, fmt.Errorf("cloud %s: %w: Glance does not show where its images are; the configuration must tell the image pool", a.cfg.Cloud, quarantine.ErrInvalid)
}
