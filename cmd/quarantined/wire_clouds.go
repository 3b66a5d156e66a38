package main

import (
	"fmt"

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
		api, err := d.newAPI(cloud.Name, cloud.API)
		if err != nil {
			return fmt.Errorf("api of cloud %s: %w", cloud.Name, err)
		}
		d.apis = append(d.apis, api)
	}
	return nil
}

func (d *daemon) newAPI(cloud string, c *apiConfig) (*openstack.API, error) {
	cfg := openstack.APIConfig{
		Cloud: cloud, CloudsFile: c.CloudsYAML, Entry: c.Entry, Region: c.Region, Interface: c.Interface, CAFile: c.CACert,
		Timeout: c.Timeout.Duration, VolumePools: map[string]quarantine.PoolRef{}, Version: version, Clock: d.clock,
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
