package main

import (
	"errors"
	"fmt"

	"quarantine/internal/quarantine"
)

// apiConfig is how a cloud's own APIs are reached: for what the events do not
// say, for what was deleted while no event came, to give disks back, and in
// OpenNebula to answer its storage drivers.
type apiConfig struct {
	// Of an OpenStack cloud:

	// CloudsYAML is a clouds.yaml, default as every OpenStack tool looks for
	// it; Entry the cloud in it, default $OS_CLOUD. Where neither is there, the
	// OS_* variables of the daemon's environment are the credential. It needs
	// the role admin.
	CloudsYAML string `yaml:"clouds_yaml"`
	Entry      string `yaml:"entry"`
	Region     string `yaml:"region"`
	Interface  string `yaml:"interface"` // public (default), internal or admin
	// VolumePools are the pools of the volumes, by volume type or by Cinder
	// back end (node1@ceph#ceph); ImagePool is Glance's. Pools are written as
	// in `quarantinectl list --pool`. Default: as Cinder and Glance say.
	VolumePools map[string]string `yaml:"volume_pools"`
	ImagePool   string            `yaml:"image_pool"`

	// Of an OpenNebula cloud:

	// Endpoint is oned's XML-RPC URL, default $ONE_XMLRPC, else
	// http://localhost:2633/RPC2. AuthFile has user:password of oneadmin in its
	// first line, default $ONE_AUTH, else ~/.one/one_auth.
	Endpoint string `yaml:"endpoint"`
	AuthFile string `yaml:"auth_file"`
	// Datastore is the image datastore for what is restored, by name or id,
	// where the restore names none; default is the only one on Ceph.
	Datastore string `yaml:"datastore"`

	// Of both:

	CACert string `yaml:"ca_cert"`
	// Timeout is for one request, default 60s.
	Timeout duration `yaml:"timeout"`
	// Wait is how long what a restore makes in the cloud, as a volume, may take
	// before it counts as failed and is taken back, default 10m.
	Wait duration `yaml:"wait"`
}

// inquireConfig is how often the clouds' APIs are asked.
type inquireConfig struct {
	// Schedule is the cron line of the job clouds, default "*/10 * * * *".
	Schedule string `yaml:"schedule"`
	// Settle is how long after its report a deletion that is over waits before
	// the APIs are asked about it, so that a cloud that is deleting much is not
	// asked much; default 20s. A server that is still dying does not wait.
	Settle duration `yaml:"settle"`
	// Every is how often it is looked for deletions to ask about, default
	// 2s.
	Every duration `yaml:"every"`
	// Lookback is how far into the past the first run looks, default 7d.
	Lookback duration `yaml:"lookback"`
	// Keep is how long what was known of a dead resource is kept beside the
	// disks' own records, default 1y.
	Keep duration `yaml:"keep"`
}

// check refuses an API of a cloud that has none that this service knows.
func (c *cloudConfig) checkAPI() error {
	if c.API == nil {
		return nil
	}
	a := c.API
	openstack := a.CloudsYAML != "" || a.Entry != "" || a.Region != "" || a.Interface != "" || len(a.VolumePools) > 0 || a.ImagePool != ""
	opennebula := a.Endpoint != "" || a.AuthFile != "" || a.Datastore != ""
	switch {
	case c.Type == quarantine.CloudGeneric:
		return fmt.Errorf("cloud %s: api is for openstack and opennebula", c.Name)
	case c.Type == quarantine.CloudOpenStack && opennebula:
		return fmt.Errorf("cloud %s: api: endpoint, auth_file and datastore are for opennebula", c.Name)
	case c.Type == quarantine.CloudOpenNebula && openstack:
		return fmt.Errorf("cloud %s: api: of these only endpoint, auth_file, datastore, ca_cert, timeout and wait are for opennebula", c.Name)
	}
	return nil
}

func (c *inquireConfig) check() error {
	if c.Every.Duration <= 0 || c.Settle.Duration <= 0 || c.Lookback.Duration <= 0 || c.Keep.Duration <= 0 {
		return errors.New("inquire: durations must be above zero")
	}
	return nil
}
