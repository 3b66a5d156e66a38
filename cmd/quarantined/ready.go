package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"
)

// readyTimeout is how long /readyz waits for a cluster.
const readyTimeout = 3 * time.Second

// ready returns why the service cannot do its work just now. A message bus
// that is down is no reason: the disks are kept without it, and get their
// names later.
func (d *daemon) ready(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	reasons := []string{}
	asked := map[string]bool{}
	states := d.watchStates()
	for _, p := range d.registry.Pools() {
		if !asked[p.FSID] {
			asked[p.FSID] = true
			if _, err := d.registry.Health(ctx, p.FSID); err != nil {
				reasons = append(reasons, fmt.Sprintf("cluster %s does not answer: %v", p.Cluster, err))
			}
		}
		if name := d.poolName(p); !states[name] {
			reasons = append(reasons, "the watch on the trash of "+name+" is not established")
		}
	}
	if _, err := d.catalog.OldestPending(ctx); err != nil {
		reasons = append(reasons, "the catalog cannot be read: "+err.Error())
	}
	return reasons
}

// slogErrorLog hands what net/http complains of (a broken TLS handshake, say)
// to slog.
func slogErrorLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelWarn) }
