package quarantine_test

import (
	"errors"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// cover computes the coverage of the last day.
func (w *world) cover() quarantine.Coverage {
	w.t.Helper()
	c, err := w.inquirer.Coverage(w.ctx, "os", w.now().Add(-day), w.now().Add(time.Second))
	if err != nil {
		w.t.Fatalf("coverage: %v", err)
	}
	return c
}

func verdicts(c quarantine.Coverage) map[string]string {
	out := map[string]string{}
	for _, v := range c.Verdicts {
		name := v.Image
		if name == "" {
			name = v.ResourceID
		}
		out[name] += v.Verdict
	}
	return out
}

// All that died went through the guard: 100 %, also for a server without a
// disk, and for disks that nobody explains.
func TestCoverageWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.boot(w.cloud.server("s1"))
	w.cloud.boot(w.cloud.server("bare"))
	w.image(vms, "s1_disk")
	w.image(vms, "s1_disk.config")
	w.image(vms, "tmp-import")
	w.ask()
	w.look()
	w.cloud.kill("s1", w.now())
	w.cloud.kill("bare", w.now())
	for _, name := range []string{"s1_disk", "s1_disk.config", "tmp-import"} {
		w.gone(vms, name)
	}
	w.jump(time.Minute)
	w.look()
	w.ask()
	c := w.cover()
	if c.Percent() != 100 || c.Captured != 3 || c.Unexplained != 1 || c.Deletions != 2 {
		t.Errorf("%+v", c)
	}
	if got := verdicts(c); len(got) != 2 || got["tmp-import"] != quarantine.VerdictUnexplained || got["bare"] != quarantine.VerdictNothing {
		t.Errorf("verdicts %v", got)
	}
}

// An image that was removed behind the service's back is named, before anybody
// noticed and after, whether its owner's death is known or not; a disk that the
// cloud has not removed yet is waited for and counts neither way.
func TestCoverageNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"s1", "s2", "slow"} {
		w.cloud.boot(w.cloud.server(id))
		w.image(unguarded, id+"_disk")
	}
	w.image(vms, "s3_disk")
	w.ask()
	w.look()
	w.jump(time.Minute)
	w.gone(unguarded, "s1_disk") // its server is dead
	w.gone(unguarded, "s2_disk") // its server lives on without it
	w.gone(vms, "s3_disk")
	w.cloud.kill("s1", w.now())
	w.cloud.kill("slow", w.now())
	w.jump(time.Minute)

	want := map[string]string{"s1_disk": quarantine.VerdictMissed, "s2_disk": quarantine.VerdictMissed, "slow_disk": quarantine.VerdictWaiting}
	c := w.cover()
	for name, verdict := range want {
		if got := verdicts(c)[name]; got != verdict {
			t.Errorf("%s: %q, want %q", name, got, verdict)
		}
	}
	if c.Missed != 2 || c.Percent() == 100 {
		t.Errorf("%+v", c)
	}
	w.look()
	c = w.cover()
	want["s1_disk"], want["s2_disk"] = quarantine.VerdictLost, quarantine.VerdictLost
	for name, verdict := range want {
		if got := verdicts(c)[name]; got != verdict {
			t.Errorf("later, %s: %q, want %q", name, got, verdict)
		}
	}
	if c.Lost != 2 || c.Missed != 0 || c.Captured != 1 {
		t.Errorf("%+v", c)
	}
}

// Who cannot be asked is an error: never 100 %.
func TestCoverageIsNotGuessed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	from, to := w.now().Add(-day), w.now().Add(time.Second)
	for name, c := range map[string]struct {
		cloud string
		wrong func()
		want  error
	}{
		"cloud down":    {"os", func() { w.cloud.fail["Dead"] = quarantine.ErrUnavailable }, quarantine.ErrUnavailable},
		"Ceph down":     {"os", func() { delete(w.cloud.fail, "Dead"); w.ceph.FailNext("LiveImages", 1, quarantine.ErrUnavailable) }, quarantine.ErrUnavailable},
		"no such cloud": {"other", func() {}, quarantine.ErrNotFound},
	} {
		c.wrong()
		if _, err := w.inquirer.Coverage(w.ctx, c.cloud, from, to); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		delete(w.cloud.fail, "Dead")
	}
	if _, err := w.inquirer.Coverage(w.ctx, "os", to, from); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("an empty period: %v", err)
	}
}

// A deletion belongs to the period in which it ended, whether an event told of
// it or only the cloud's API does.
func TestCoveragePeriodOfADeletion(t *testing.T) {
	t.Parallel()
	for _, recorded := range []bool{false, true} {
		w := newWorld(t)
		w.cloud.boot(w.cloud.server("s1"))
		d := w.cloud.kill("s1", w.now()) // and ends two seconds later
		if recorded {
			w.record(d)
		}
		for at, want := range map[time.Time]int{d.StartedAt: 0, d.EndedAt: 1} {
			c, err := w.inquirer.Coverage(w.ctx, "os", at, at.Add(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if c.Deletions != want {
				t.Errorf("recorded %t: %d deletions in the second from %s on, want %d", recorded, c.Deletions, at, want)
			}
		}
	}
}

// A volume that a failed restore made and had deleted again is nobody's loss,
// though the cloud tells of its deletion as of any other.
func TestCoverageAfterARestoreWasTakenBack(t *testing.T) {
	t.Parallel()
	const made, other = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	for name, c := range map[string]struct {
		id          string
		first, last time.Duration // of the volume's end, after the restore's
		want        string
	}{
		"the restore's":                   {made, 0, 0, quarantine.VerdictNothing},
		"what nobody knows":               {other, 0, 0, quarantine.VerdictMissed},
		"at some time, about the restore": {made, -10 * time.Minute, 10 * time.Minute, quarantine.VerdictNothing},
		"by somebody, before the restore": {made, -10 * time.Minute, -5 * time.Minute, quarantine.VerdictMissed},
		"by somebody, after the restore":  {made, 5 * time.Minute, 10 * time.Minute, quarantine.VerdictMissed},
	} {
		w := newCloudWorld(t)
		w.quarantined()
		if res, err := w.give(quarantine.CloudOrder{Disk: w.disks()[0].ID, As: quarantine.AsServer, Network: "none"}); err == nil || len(res.Removed) != 2 {
			t.Fatalf("%v, %+v", err, res)
		}
		del := w.cloud.volume(c.id)
		del.StartedAt, del.EndedAt, del.Disks[0].Required = w.now().Add(c.first), w.now().Add(c.last), true
		w.record(del)
		w.jump(time.Hour)
		got := w.cover()
		if v := verdicts(got); v[c.id]+v["volume-"+c.id] != c.want || got.Captured != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A disk that nothing explains stands in for one that a deletion destroyed only
// where the deletion can have been its death: not where it died before.
func TestCoverageOfADeathAtAnotherTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pool  quarantine.PoolRef
		began time.Duration // of the deletion, after the death
		want  int           // missed
	}{
		"its own":                         {vms, -time.Second, 0},
		"a death before":                  {vms, 10 * time.Minute, 1},
		"a loss before":                   {unguarded, 10 * time.Minute, 1},
		"a loss that the deletion caused": {unguarded, -time.Second, 0},
	} {
		w := newWorld(t)
		w.image(c.pool, "s1_disk")
		w.look()
		w.jump(time.Hour)
		w.gone(c.pool, "s1_disk")
		w.look()
		del := w.cloud.server("s1")
		del.StartedAt, del.Disks[1].Required = w.now().Add(c.began), true
		del.EndedAt = del.StartedAt.Add(2 * time.Second)
		w.cloud.dead["s1"] = del // and no event, so that nobody has joined the two
		w.jump(time.Hour)
		if got := w.cover(); got.Deletions != 1 || got.Missed != c.want || got.Captured+got.Lost != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
