package quarantine_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// yard is a pool's quarantine as the plan sees it.
type yard struct {
	shares []quarantine.Share
	free   map[string][]quarantine.Candidate // evictable, the longest dead first
}

func (y *yard) share(project string) *quarantine.Share {
	i := slices.IndexFunc(y.shares, func(s quarantine.Share) bool { return s.Project == project })
	if i < 0 {
		y.shares = append(y.shares, quarantine.Share{Project: project})
		i = len(y.shares) - 1
	}
	return &y.shares[i]
}

func (y *yard) add(project string, used int64) {
	d := quarantine.Candidate{ID: fmt.Sprintf("%s-%d", project, len(y.free[project])), Project: project, UsedBytes: used}
	y.free[project] = append(y.free[project], d)
	y.share(project).Evictable += used
}

func (y *yard) clone() *yard {
	c := &yard{shares: slices.Clone(y.shares), free: map[string][]quarantine.Candidate{}}
	for p, ds := range y.free {
		c.free[p] = slices.Clone(ds)
	}
	return c
}

func (y *yard) plan(t tb, need int64) quarantine.EvictionPlan {
	t.Helper()
	at := map[string]int{}
	p, err := quarantine.PlanEviction(need, y.shares, func(project string) (quarantine.Candidate, bool, error) {
		if at[project]++; at[project] > len(y.free[project]) {
			return quarantine.Candidate{}, false, nil
		}
		return y.free[project][at[project]-1], true, nil
	})
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	return p
}

func lost(p quarantine.EvictionPlan, project string) []quarantine.Candidate {
	var out []quarantine.Candidate
	for _, d := range p.Disks {
		if d.Project == project {
			out = append(out, d)
		}
	}
	return out
}

func sum(ds []quarantine.Candidate) (n int64) {
	for _, d := range ds {
		n += d.UsedBytes
	}
	return n
}

// anyYard draws a pool; measured: everything is.
func anyYard(t *rapid.T, measured bool) *yard {
	y := &yard{free: map[string][]quarantine.Candidate{}}
	for i := range rapid.IntRange(1, 6).Draw(t, "projects") {
		project := string(rune('a' + i))
		for range rapid.IntRange(0, 8).Draw(t, "disks") {
			y.add(project, rapid.Int64Range(0, 20).Draw(t, "used"))
		}
		s := y.share(project)
		s.Held = rapid.Int64Range(0, 30).Draw(t, "held")
		s.Compliance = rapid.Int64Range(0, 30).Draw(t, "compliance")
		s.Young = rapid.Int64Range(0, 30).Draw(t, "young")
		s.Going = rapid.Int64Range(0, 30).Draw(t, "going")
		if !measured {
			s.Unmeasured = rapid.Int64Range(0, 60).Draw(t, "unmeasured")
		}
	}
	return y
}

// Whatever is in the pool: only disks that may go do, of each project the longest
// dead; nobody at or below the fair share loses anything; none goes once there is
// room; and there is room in the end if those above their share could make it. The
// order in which the projects are told does not matter.
func TestPlanEviction(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		y := anyYard(t, rapid.Bool().Draw(t, "measured"))
		need := rapid.Int64Range(-5, 300).Draw(t, "need")
		p := y.plan(t, need)
		if need <= 0 && len(p.Disks) > 0 {
			t.Fatalf("%v goes, and nothing has to", p.Disks)
		}
		if p.Freed != sum(p.Disks) {
			t.Fatalf("frees %d, says %d", sum(p.Disks), p.Freed)
		}
		var above, room int64
		blocked := false
		for _, s := range y.shares {
			gone := lost(p, s.Project)
			free := slices.DeleteFunc(slices.Clone(y.free[s.Project]), func(d quarantine.Candidate) bool { return d.UsedBytes == 0 })
			if len(gone) > len(free) || !slices.Equal(gone, free[:len(gone)]) {
				t.Fatalf("of %q go %v, of %v", s.Project, gone, free)
			}
			excess := max(0, s.Staying()-p.Level)
			if n := len(gone); n > 0 && sum(gone[:n-1]) >= excess {
				t.Fatalf("%q has %d above the share, and loses %v", s.Project, excess, gone)
			}
			if sum(gone) < excess && len(gone) == len(free) {
				blocked = true
			}
			above += excess
			room += min(excess, sum(free))
		}
		if p.Freed < min(p.Need, room) && need > 0 {
			t.Fatalf("frees %d of %d, and %d were possible", p.Freed, p.Need, room)
		}
		if n := len(p.Disks); n > 0 && !blocked {
			largest := slices.MaxFunc(p.Disks, func(a, b quarantine.Candidate) int { return int(a.UsedBytes - b.UsedBytes) })
			// The level is whole bytes: its rounding is less than one for each project.
			if p.Freed-largest.UsedBytes >= p.Need+int64(len(y.shares)) {
				t.Fatalf("frees %d, and %d were enough", p.Freed, p.Need)
			}
		}
		mixed := y.clone()
		mixed.shares = rapid.Permutation(y.shares).Draw(t, "order")
		if again := mixed.plan(t, need); !reflect.DeepEqual(p, again) {
			t.Fatalf("in another order %+v, not %+v", again, p)
		}
	})
}

// A project that has more than its share and more than any other adds as much as it
// likes, of what may go and of what may not, measured or not: nobody else loses more
// than without it.
func TestFloodersPayThemselves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		y := anyYard(t, true)
		need := rapid.Int64Range(1, 300).Draw(t, "need")
		before := y.plan(t, need)
		flooder := slices.MaxFunc(y.shares, func(a, b quarantine.Share) int { return int(a.Staying() - b.Staying()) })
		for _, s := range y.shares {
			if s.Project != flooder.Project && s.Staying() == flooder.Staying() {
				return // not heavier than all others
			}
		}
		if flooder.Staying() <= before.Level {
			return
		}
		flooded := y.clone()
		more := need
		for range rapid.IntRange(1, 20).Draw(t, "more disks") {
			n := rapid.Int64Range(0, 50).Draw(t, "of bytes")
			more += n
			switch s := flooded.share(flooder.Project); rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				s.Young += n
			case 1:
				s.Held += n
			case 2:
				s.Unmeasured += n
			default:
				flooded.add(flooder.Project, n)
			}
		}
		after := flooded.plan(t, more)
		for _, s := range y.shares {
			if s.Project == flooder.Project {
				continue
			}
			if a, b := lost(after, s.Project), lost(before, s.Project); len(a) > len(b) {
				t.Fatalf("%q floods, and %q loses %v, not %v", flooder.Project, s.Project, a, b)
			}
		}
	})
}

// Whoever floods, also one that was small before: a project that has no more than
// the fair share that there is now loses nothing.
func TestFloodSparesTheSmall(t *testing.T) {
	t.Parallel()
	y := &yard{free: map[string][]quarantine.Candidate{}}
	for range 10 {
		y.add("b", 10)
		y.add("c", 5)
	}
	y.add("a", 10)
	for range 1000 {
		y.add("a", 10)
	}
	p := y.plan(t, 9_900) // 260 stay, of which b and c have no more than their share
	if len(lost(p, "b")) > 0 || len(lost(p, "c")) > 0 || p.Freed != 9_900 {
		t.Errorf("%d of b, %d of c, %d freed", len(lost(p, "b")), len(lost(p, "c")), p.Freed)
	}
}
