package openstack

import (
	"fmt"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"quarantine/internal/quarantine"
)

// APIConfig says how a cloud's APIs are reached, with whose credential, and in
// which pools the cloud has its volumes and images.
//
// The credential is a password, an application credential or a trust, in a
// clouds.yaml or in the OS_* variables of the environment, as every OpenStack
// tool reads them. It needs the role admin: only that sees all projects.
type APIConfig struct {
	// Cloud is the configured name of the cloud.
	Cloud string
	// CloudsFile is a clouds.yaml; a secure.yaml beside it is read too. Empty:
	// $OS_CLIENT_CONFIG_FILE, else the usual places (./,
	// ~/.config/openstack/, /etc/openstack/).
	CloudsFile string
	// Entry is the entry of clouds.yaml; default $OS_CLOUD. Where there is
	// neither, and no CloudsFile, the OS_* variables are the credential.
	Entry string
	// Region and Interface (public, internal, admin) choose among the
	// catalog's endpoints; empty: as clouds.yaml or the environment says, else
	// any region and public.
	Region    string
	Interface string
	// CAFile has the certificates to trust, in place of the system's; empty:
	// as clouds.yaml or $OS_CACERT says.
	CAFile string

	// Timeout is for one request with its answer (not for the upload of an
	// image, which may take hours); default 60 s.
	Timeout time.Duration
	// Retries is how often a request is sent again that found nobody listening
	// or was answered 503; default 4, negative: never. The pause before is
	// RetryPause (default 500 ms), doubled each time, or what Retry-After says,
	// up to half a minute.
	Retries    int
	RetryPause time.Duration
	// PageSize is how many resources are asked for at once; default 200.
	PageSize int
	// Poll is how often a resource that is being made or deleted is looked at;
	// default 1 s.
	Poll time.Duration
	// Wait is how long it is looked for before it counts as failed, and is taken
	// back; default 10 min.
	Wait time.Duration
	// NameTTL is how long the names of users, projects, images … are
	// remembered; default 1 h.
	NameTTL time.Duration
	// ComputeVersion and VolumeVersion are the microversions asked for, or the
	// highest that the site has, where that is lower; default 2.90 and 3.70.
	ComputeVersion string
	VolumeVersion  string

	// VolumePools tells the pool of the volumes of a type, of a Cinder pool
	// (node1@ceph#ceph) or of a backend host (node1@ceph). Where none of them
	// is given, Cinder's own word is taken: its RBD driver reports fsid and
	// pool among its capabilities.
	VolumePools map[string]quarantine.PoolRef
	// ImagePool is where Glance has its images. Where it is empty, the
	// location of an image tells it, if the site shows locations.
	ImagePool quarantine.PoolRef
	// Clusters are the fsids of the Ceph clusters in the service's care. What is
	// in another one is none of its disks, whatever its pools are called. Empty:
	// every cluster is in its care.
	Clusters []string

	// Version is this service's version, for the User-Agent.
	Version string
	Clock   quarantine.Clock
}

const (
	defaultTimeout    = time.Minute
	defaultRetries    = 4
	defaultRetryPause = 500 * time.Millisecond
	defaultPageSize   = 200
	defaultPoll       = time.Second
	defaultWait       = 10 * time.Minute
	defaultNameTTL    = time.Hour
	// defaultCompute has all that is read; 2.47 names the flavor, 2.69 tells
	// that a cell is down, 2.37 boots without a network.
	defaultCompute = "2.90"
	defaultVolume  = "3.70"
	maxPageSize    = 1000 // Nova's and Cinder's own limit
)

// API is a cloud's own APIs: Keystone, Nova, Cinder, Glance, and Neutron for
// the names of networks. It implements quarantine.CloudReader and
// quarantine.CloudWriter, and may be used by many goroutines.
//
// It connects when it is first used, and again every hour, so that a changed
// catalog or an upgraded service is noticed. Its errors wrap
// quarantine.ErrUnavailable where a service cannot be reached, does not answer
// in time or answers nonsense or 5xx; ErrNotFound for 404; ErrRefused for 401
// and 403; ErrBusy for 409; ErrInvalid for other refusals and for a
// configuration that cannot work. No password or token is in them.
type API struct {
	cfg   APIConfig
	login gophercloud.AuthOptions
	// endpoints says which of the catalog's are meant.
	endpoints gophercloud.EndpointOpts
	http      clients
	names     *names
	current   slot
}

var (
	_ quarantine.CloudReader = (*API)(nil)
	_ quarantine.CloudWriter = (*API)(nil)
)

// NewAPI reads the credential and checks the configuration; the cloud need not
// be up. The error wraps quarantine.ErrInvalid.
func NewAPI(cfg APIConfig) (*API, error) {
	switch {
	case cfg.Cloud == "":
		return nil, badAPI("no cloud")
	case cfg.Clock == nil:
		return nil, badAPI("Clock is needed")
	case cfg.PageSize < 0 || cfg.PageSize > maxPageSize:
		return nil, badAPI("page size %d is not between 1 and %d", cfg.PageSize, maxPageSize)
	case cfg.Timeout < 0 || cfg.RetryPause < 0 || cfg.Poll < 0 || cfg.Wait < 0 || cfg.NameTTL < 0:
		return nil, badAPI("a duration is negative")
	}
	cfg.Timeout = orDefault(cfg.Timeout, defaultTimeout)
	cfg.Retries = max(orDefault(cfg.Retries, defaultRetries), 0)
	cfg.RetryPause = orDefault(cfg.RetryPause, defaultRetryPause)
	cfg.PageSize = orDefault(cfg.PageSize, defaultPageSize)
	cfg.Poll = orDefault(cfg.Poll, defaultPoll)
	cfg.Wait = orDefault(cfg.Wait, defaultWait)
	cfg.NameTTL = orDefault(cfg.NameTTL, defaultNameTTL)
	cfg.ComputeVersion = orDefault(cfg.ComputeVersion, defaultCompute)
	cfg.VolumeVersion = orDefault(cfg.VolumeVersion, defaultVolume)
	for _, v := range []string{cfg.ComputeVersion, cfg.VolumeVersion} {
		if _, ok := parseMicroversion(v); !ok {
			return nil, badAPI("%q is no microversion", v)
		}
	}
	login, endpoints, trust, err := credential(cfg)
	if err != nil {
		return nil, err
	}
	return &API{
		cfg: cfg, login: login, endpoints: endpoints,
		http:    newClients(cfg.Timeout, trust),
		names:   newNames(cfg.Clock, cfg.NameTTL),
		current: newSlot(),
	}, nil
}

// Name is the configured name of the cloud.
func (a *API) Name() string { return a.cfg.Cloud }

// Traits implements quarantine.CloudWriter: Cinder and Glance take clones, and
// give to projects.
func (a *API) Traits() quarantine.CloudTraits { return quarantine.CloudTraits{} }

// caresFor reports whether the Ceph cluster is in the service's care.
func (a *API) caresFor(fsid string) bool {
	return len(a.cfg.Clusters) == 0 || slices.Contains(a.cfg.Clusters, fsid)
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

func badAPI(format string, args ...any) error {
	return fmt.Errorf("%w OpenStack API: %s", quarantine.ErrInvalid, fmt.Sprintf(format, args...))
}
