package quarantine

import (
	"cmp"
	"fmt"
	"slices"
)

// EvictionPlan says which disks go before their time, so that a pool has room.
type EvictionPlan struct {
	// Need is what has to go, in bytes; Level the fair share: no project loses
	// anything while it has no more than that.
	Need  int64
	Level int64
	// Disks are those that go, the heaviest project's first, and of one project the
	// longest dead first. They free Freed bytes.
	Disks []Candidate
	Freed int64
}

// Short is what stays missing because it may not be taken.
func (p *EvictionPlan) Short() int64 { return max(0, p.Need-p.Freed) }

// PlanEviction chooses what goes, so that need bytes are free. It is a pure function
// of what it is told: neither the clock nor the order of the shares matters.
//
// Room is shared fairly. The level is such that what all projects have above it is
// what has to go; whoever has more goes down to it, and nobody else loses anything.
// So a project that floods the pool pays for that itself: what it adds is above the
// level and moves neither the level nor what others have above it. Bytes that are
// protected count for their project, but nobody yields in their stead. Otherwise a
// flood would be safe as long as it is young, or held, and others would pay for it;
// so it stays short, and people are told who protects what.
//
// Disks are whole, so each project goes a little below the level, with its last
// disk. What it has yielded too much spares the heavier ones, never the lighter:
// so what the heaviest does has no effect at all on what others lose.
//
// What is not measured yet never counts as freed. For the level it counts as if it
// were full, so that the level is not too low; what a project has above the level
// is counted without it.
//
// next returns the projects' evictable disks one by one, each project's longest
// dead first, and false after the last.
func PlanEviction(need int64, shares []Share, next func(project string) (Candidate, bool, error)) (EvictionPlan, error) {
	p := EvictionPlan{Need: max(need, 0)}
	if need <= 0 {
		return p, nil
	}
	p.Level = fairLevel(need, shares)
	byWeight := slices.Clone(shares)
	slices.SortFunc(byWeight, func(a, b Share) int {
		return cmp.Or(cmp.Compare(a.Staying(), b.Staying()), cmp.Compare(a.Project, b.Project))
	})
	var chosen [][]Candidate
	var spare int64 // what lighter projects have yielded too much
	for _, s := range byWeight {
		quota := s.Staying() - p.Level - spare
		if quota <= 0 {
			if s.Staying() > p.Level {
				spare = -quota
			}
			continue
		}
		var disks []Candidate
		var yielded int64
		for yielded < quota {
			d, ok, err := next(s.Project)
			if err != nil {
				return p, fmt.Errorf("find what project %q can yield: %w", s.Project, err)
			}
			if !ok {
				break
			}
			if d.UsedBytes <= 0 {
				continue
			}
			disks = append(disks, d)
			yielded += d.UsedBytes
		}
		spare = max(0, yielded-quota)
		p.Freed += yielded
		chosen = append(chosen, disks)
	}
	for _, disks := range slices.Backward(chosen) {
		p.Disks = append(p.Disks, disks...)
	}
	return p, nil
}

// fairLevel is the largest level such that what the projects have above it, with
// what is not measured, is at least need; 0 if all of it is not enough.
func fairLevel(need int64, shares []Share) int64 {
	weights := make([]int64, len(shares))
	for i := range shares {
		weights[i] = shares[i].Staying() + shares[i].Unmeasured
	}
	slices.SortFunc(weights, func(a, b int64) int { return cmp.Compare(b, a) })
	var sum int64
	for i, w := range weights {
		sum += w
		level := (sum - need) / int64(i+1)
		if level >= 0 && sum >= need && (i+1 == len(weights) || level >= weights[i+1]) {
			return level
		}
	}
	return 0
}
