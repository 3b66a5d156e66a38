package quarantine

import "context"

// ExpireEarly is what an approved request does (EarlyPurge), at one person's word:
// tests of what follows need no second.
func (c *Collector) ExpireEarly(ctx context.Context, actor, id, reason string) (Disk, error) {
	return c.expireEarly(ctx, id, Entry{Act: "expire", Actor: actor, Reason: reason}, func(*Disk) error { return nil })
}
