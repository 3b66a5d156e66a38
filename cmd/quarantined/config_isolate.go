package main

import "fmt"

// evidenceConfig is where a cluster's isolated copies are kept: in a pool, or a
// namespace of one, on which no cloud's key has caps.
type evidenceConfig struct {
	Pool      string `yaml:"pool"`
	Namespace string `yaml:"namespace"`
}

// isolateConfig tunes the job that copies disks to the evidence pool. Which
// disks, the policies say (isolate: true), and people.
type isolateConfig struct {
	Schedule string `yaml:"schedule"` // default "*/10 * * * *"
	// MaxDisks bounds what one run copies, default 20.
	MaxDisks int `yaml:"max_disks"`
	// BytesPerSecond bounds how fast it reads, default 64 MiB. What is copied is
	// read three times: to copy it, and to hash both sides.
	BytesPerSecond int64 `yaml:"bytes_per_second"`
}

func (c *isolateConfig) defaults() {
	or(&c.Schedule, "*/10 * * * *")
	or(&c.MaxDisks, 20)
	or(&c.BytesPerSecond, 64<<20)
}

func (c *isolateConfig) check() error {
	if c.MaxDisks < 1 || c.BytesPerSecond < leastFlatten {
		return fmt.Errorf("isolate: max_disks must be at least 1, and bytes_per_second at least %d", leastFlatten)
	}
	return nil
}

// checkEvidence refuses an evidence pool that a cloud has.
func (cc *clusterConfig) checkEvidence() error {
	e := cc.Evidence
	if e == nil {
		return nil
	}
	if e.Pool == "" {
		return fmt.Errorf("cluster %s: evidence: it has no pool", cc.Name)
	}
	for _, p := range cc.Pools {
		// A key with caps on the pool has them on its namespaces.
		if p.Name == e.Pool {
			return fmt.Errorf("cluster %s: evidence: the pool %s is among pools, which the clouds have; copies need one of their own", cc.Name, e.Pool)
		}
	}
	return nil
}
