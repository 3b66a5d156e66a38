package main

import "fmt"

// flattenConfig tunes the job that makes disks independent of the images they
// were cloned from. Which disks, the policies say; by default none.
type flattenConfig struct {
	Schedule string `yaml:"schedule"` // default "47 * * * *"
	// MaxDisks bounds what one run flattens, default 20.
	MaxDisks int `yaml:"max_disks"`
	// BytesPerSecond bounds how fast it copies, default 64 MiB: less than what a
	// single disk of a small cluster can take.
	BytesPerSecond int64 `yaml:"bytes_per_second"`
}

// leastFlatten is the least rate: a block must not take longer than Ceph waits
// for an answer.
const leastFlatten = 1 << 20

func (c *flattenConfig) defaults() {
	or(&c.Schedule, "47 * * * *")
	or(&c.MaxDisks, 20)
	or(&c.BytesPerSecond, 64<<20)
}

func (c *flattenConfig) check() error {
	if c.MaxDisks < 1 || c.BytesPerSecond < leastFlatten {
		return fmt.Errorf("flatten: max_disks must be at least 1, and bytes_per_second at least %d", leastFlatten)
	}
	return nil
}
