package quarantine

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// isolatePage is how many disks that want a copy are read at once.
const isolatePage = 256

// Run copies the disks that policy or people want copied and that have no copy,
// oldest first, and goes on with copies that were cut short. Disks that cannot
// be copied just now use up nothing of the run's limit. Copies that were begun
// and whose original is gone are reported: what is in them may be all that is
// left, so nobody takes them away.
func (s *Isolator) Run(ctx context.Context, actor string, o JobOptions) Report {
	rep := Report{Job: JobIsolate, DryRun: o.DryRun, Actor: actor, StartedAt: s.ledger.clock().UTC(), Items: []ReportItem{}}
	if err := s.run(ctx, &rep); err != nil {
		rep.Stopped = err.Error()
	}
	rep.EndedAt = s.ledger.clock().UTC()
	return rep
}

func (s *Isolator) run(ctx context.Context, rep *Report) error {
	if err := allHealthy(ctx, s.clusters, s.cfg.StopChecks); err != nil {
		return err
	}
	yes := true
	left := s.cfg.MaxDisks
	for offset := 0; left > 0; offset += isolatePage {
		page, err := s.ledger.disks.FindDisks(ctx, DiskFilter{
			Isolate: &yes, States: []State{Quarantined, Expiring}, Limit: isolatePage, Offset: offset,
		})
		if err != nil {
			return fmt.Errorf("find the disks to copy: %w", err)
		}
		for i := range page {
			d := &page[i]
			if left <= 0 || !d.WantsCopy() {
				continue
			}
			if _, there, err := standingCopy(ctx, s.ledger, d); err != nil {
				return err
			} else if there {
				continue
			}
			done, err := s.one(ctx, rep, d)
			if err != nil {
				return err
			}
			if done {
				left--
			}
		}
		if len(page) < isolatePage {
			break
		}
	}
	return s.leftBehind(ctx, rep)
}

// one copies one disk, and reports whether it was done, or would be.
func (s *Isolator) one(ctx context.Context, rep *Report, d *Disk) (bool, error) {
	it := ReportItem{Disk: d.ID, Pool: d.Key.PoolRef().String(), Name: d.OriginalName, Act: "isolate", Bytes: d.SizeBytes, Reason: "rule " + d.Decision.Rule}
	if d.IsolateBy != "" {
		it.Reason = "asked for by " + d.IsolateBy
	}
	var err error
	if rep.DryRun {
		_, err = s.isolatable(ctx, d)
	} else {
		// A run can take hours.
		if err := errors.Join(ctx.Err(), healthy(ctx, s.clusters, d.Key.FSID, s.cfg.StopChecks)); err != nil {
			return false, err
		}
		_, err = s.Isolate(ctx, rep.Actor, d.ID, it.Reason, nil)
	}
	if err != nil {
		it.Error = err.Error()
	}
	rep.Items = append(rep.Items, it)
	return err == nil, nil
}

// leftBehind reports copies that were begun and cannot be finished.
func (s *Isolator) leftBehind(ctx context.Context, rep *Report) error {
	for _, p := range s.clusters.Pools() {
		if !p.Evidence {
			continue
		}
		live, err := s.ledger.images.LiveImages(ctx, p.PoolRef, CopyPrefix)
		if err != nil {
			return fmt.Errorf("list the copies under way in %s: %w", p.PoolRef, err)
		}
		for name := range live {
			id := strings.TrimPrefix(name, CopyPrefix)
			d, err := s.ledger.disks.Disk(ctx, id)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return fmt.Errorf("look for the original of %s: %w", name, err)
			}
			if err == nil && d.State.InQuarantine() {
				continue
			}
			it := ReportItem{Disk: id, Pool: p.PoolRef.String(), Name: name, Act: "leftover", Error: "an unfinished copy of a disk that is " + string(d.State)}
			if err != nil {
				it.Error = "an unfinished copy of a disk that the catalog does not know"
			}
			rep.Items = append(rep.Items, it)
		}
	}
	return nil
}
