package openstack

import (
	"context"
	"errors"
	"slices"

	"quarantine/internal/quarantine"
)

// Facts are what can be seen of a cloud from outside, for an operator who
// looks why something is missing.
type Facts struct {
	// User and Project are the credential's own, Roles its roles there.
	User    quarantine.Principal `json:"user"`
	Project quarantine.Principal `json:"project"`
	Roles   []string             `json:"roles"`
	// ComputeVersion and VolumeVersion are the microversions in use.
	ComputeVersion string `json:"compute_version"`
	VolumeVersion  string `json:"volume_version"`
	// Services are those of Nova and Cinder.
	Services []ServiceFact `json:"services"`
	// Volumes are Cinder's pools, and where they are in Ceph.
	Volumes []PoolFact `json:"volumes"`
	// Images is Glance's pool, also one that is not in the service's care; nil if
	// neither the configuration nor an image's location tells it, or Glance is
	// not on RBD.
	Images *quarantine.PoolRef `json:"images,omitempty"`
	// Names tells whether Keystone names other users and projects.
	Names bool `json:"names"`
}

// ServiceFact is a service of the cloud.
type ServiceFact struct {
	Binary  string `json:"binary"` // nova-compute, cinder-volume …
	Host    string `json:"host"`
	Zone    string `json:"zone,omitempty"`
	Enabled bool   `json:"enabled"`
	Up      bool   `json:"up"`
	// Unknown: the service is in a cell of Nova that does not answer.
	Unknown bool `json:"unknown,omitempty"`
}

// PoolFact is a pool of Cinder.
type PoolFact struct {
	Name     string `json:"name"`     // node1@ceph#ceph
	Protocol string `json:"protocol"` // ceph for RBD
	Up       bool   `json:"up"`
	// Pool is nil if neither the configuration nor Cinder tells it.
	Pool *quarantine.PoolRef `json:"pool,omitempty"`
}

// Facts asks the cloud. What it says of a service that does not answer is an
// error; which of them the credential may not ask is too.
func (a *API) Facts(ctx context.Context) (Facts, error) {
	s, err := a.session(ctx)
	if err != nil {
		return Facts{}, err
	}
	f := Facts{User: s.user, Project: s.project, Roles: slices.Sorted(slices.Values(s.roles))}
	for _, name := range []string{compute, blockStorage} {
		services, err := s.listServices(ctx, name)
		if err != nil {
			return f, err
		}
		for _, v := range services {
			f.Services = append(f.Services, ServiceFact{
				Binary: string(v.Binary), Host: string(v.Host), Zone: string(v.Zone),
				Enabled: v.Status == "enabled", Up: v.State == "up", Unknown: v.Status == "UNKNOWN",
			})
		}
		c, err := s.service(ctx, name)
		if err != nil {
			return f, err
		}
		if name == compute {
			f.ComputeVersion = c.Microversion
		} else {
			f.VolumeVersion = c.Microversion
		}
	}
	pools, err := s.volumePools(ctx)
	if err != nil {
		return f, err
	}
	for _, p := range pools {
		fact := PoolFact{Name: string(p.Name), Protocol: string(p.Capabilities.Protocol), Up: p.up()}
		if ref, ok := a.configuredPool("", p); ok {
			fact.Pool = &ref
		} else if ref, ok := p.place(); ok {
			fact.Pool = &ref
		}
		f.Volumes = append(f.Volumes, fact)
	}
	images, err := a.findImagePool(ctx)
	switch {
	case err == nil:
		f.Images = &images
	case !errors.Is(err, quarantine.ErrInvalid) && !errors.Is(err, quarantine.ErrNotFound):
		return f, err
	}
	var users struct{}
	switch err := s.get(ctx, identity, "users", map[string][]string{"limit": {"1"}, "name": {s.user.Name}}, &users); {
	case err == nil:
		f.Names = true
	case !errors.Is(err, quarantine.ErrRefused):
		return f, err
	}
	return f, nil
}
