package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"quarantine/internal/opennebula"
	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

// wireClouds makes the clients of the clouds' APIs. None of them needs its
// cloud to be up.
func (d *daemon) wireClouds() error {
	for _, cloud := range d.cfg.Clouds {
		if cloud.API == nil {
			continue
		}
		api, err := d.newAPI(&cloud)
		if err != nil {
			return fmt.Errorf("api of cloud %s: %w", cloud.Name, err)
		}
		d.apis = append(d.apis, api)
	}
	return nil
}

// cloudAPI is a cloud's API.
type cloudAPI interface {
	quarantine.CloudReader
	quarantine.CloudWriter
}

func (d *daemon) newAPI(cloud *cloudConfig) (cloudAPI, error) {
	if cloud.Type == quarantine.CloudOpenNebula {
		c := cloud.API
		return opennebula.NewAPI(opennebula.APIConfig{
			Cloud: cloud.Name, Endpoint: c.Endpoint, AuthFile: c.AuthFile, CAFile: c.CACert, Timeout: c.Timeout.Duration, Wait: c.Wait.Duration,
			Datastore: c.Datastore, Pools: d.poolsOf(cloud.Name), Images: d.registry, Clock: d.clock,
		})
	}
	return d.newOpenStack(cloud.Name, cloud.API)
}

// poolsOf are the pools that may hold the cloud's disks.
func (d *daemon) poolsOf(cloud string) []quarantine.Pool {
	return slices.DeleteFunc(slices.Clone(d.registry.Pools()), func(p quarantine.Pool) bool { return p.Cloud != "" && p.Cloud != cloud })
}

func (d *daemon) newOpenStack(cloud string, c *apiConfig) (*openstack.API, error) {
	cfg := openstack.APIConfig{
		Cloud: cloud, CloudsFile: c.CloudsYAML, Entry: c.Entry, Region: c.Region, Interface: c.Interface, CAFile: c.CACert,
		Timeout: c.Timeout.Duration, Wait: c.Wait.Duration, VolumePools: map[string]quarantine.PoolRef{}, Version: version, Clock: d.clock,
	}
	for _, p := range d.registry.Pools() {
		if !slices.Contains(cfg.Clusters, p.FSID) {
			cfg.Clusters = append(cfg.Clusters, p.FSID)
		}
	}
	for name, pool := range c.VolumePools {
		p, err := quarantine.FindPool(d.registry, pool)
		if err != nil {
			return nil, fmt.Errorf("volume_pools: %s: %w", name, err)
		}
		cfg.VolumePools[name] = p.PoolRef
	}
	if c.ImagePool != "" {
		p, err := quarantine.FindPool(d.registry, c.ImagePool)
		if err != nil {
			return nil, fmt.Errorf("image_pool: %w", err)
		}
		cfg.ImagePool = p.PoolRef
	}
	return openstack.NewAPI(cfg)
}

// readers are the clouds' APIs as the inquirer sees them.
func (d *daemon) readers() []quarantine.CloudReader {
	var out []quarantine.CloudReader
	for _, a := range d.apis {
		out = append(out, a)
	}
	return out
}

// writers are the clouds' APIs as restores see them.
func (d *daemon) writers() []quarantine.CloudWriter {
	var out []quarantine.CloudWriter
	for _, a := range d.apis {
		out = append(out, a)
	}
	return out
}

// clouder gives disks back to clouds, and has the collector, which alone may,
// take the seal off at once where a disk itself was given.
type clouder struct {
	*quarantine.CloudRestorer
	collector *quarantine.Collector
	log       *slog.Logger
}

// Restore gives back. What it gave is given whether or not the seals come off
// now; the next collect run takes them off otherwise.
func (c clouder) Restore(ctx context.Context, actor string, o quarantine.CloudOrder, tell quarantine.CloudTell) (quarantine.CloudResult, error) {
	res, err := c.CloudRestorer.Restore(ctx, actor, o, tell)
	for i, d := range res.Disks {
		if d.State != quarantine.Restored {
			continue
		}
		if err := c.collector.Unseal(context.WithoutCancel(ctx), actor, d.ID, "given to a cloud"); err != nil {
			c.log.Warn("the seal of a restored disk stays until the next collect run", "disk", d.ID, "error", err)
			continue
		}
		res.Disks[i].Sealed = false
	}
	return res, err
}

// cloudDoctor makes the part of the doctor that looks at the clouds. The buses
// are wired later: it sees those that there are when it looks.
func (d *daemon) cloudDoctor() *cloudDoctor {
	c := &cloudDoctor{
		clusters: d.registry, schedules: d.registry.PurgeSchedules, deferred: d.services.adopter.Deferred, clock: d.clock,
	}
	for _, a := range d.apis {
		switch a := a.(type) {
		case *openstack.API:
			c.apis = append(c.apis, a)
		case *opennebula.API:
			c.frontends = append(c.frontends, theFrontend{a, opennebula.NewHookInstaller(a)})
		}
	}
	for _, b := range d.buses {
		c.buses = append(c.buses, busView{
			name: b.name, cloud: b.cloud, started: d.startedAt,
			queues: b.consumer.Queues, missing: b.consumer.MissingExchanges, heard: b.consumer.ServersHeard,
		})
	}
	return c
}
