package quarantine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// anyPolicy draws a policy of three rules.
func anyPolicy(t *rapid.T, name string) decides {
	rule := func(of string) quarantine.Decision {
		draw := func(what string) string { return name + " " + of + " " + what }
		d := quarantine.Decision{Rule: of, Retain: time.Duration(rapid.IntRange(1, 60).Draw(t, draw("days"))) * day}
		if rapid.IntRange(0, 3).Draw(t, draw("least")) == 0 {
			d.Min = time.Duration(rapid.Int64Range(1, int64(d.Retain/time.Second)).Draw(t, draw("min"))) * time.Second
		}
		d.Mode = rapid.SampledFrom([]quarantine.RetentionMode{"", "", quarantine.Governance, quarantine.Compliance}).Draw(t, draw("mode"))
		if rapid.IntRange(0, 3).Draw(t, draw("keeps")) == 0 {
			d.KeepLast = quarantine.KeepLast{N: rapid.IntRange(1, 3).Draw(t, draw("n")), By: rapid.SampledFrom([]string{quarantine.KeepByVM, quarantine.KeepByProject}).Draw(t, draw("by"))}
		}
		if rapid.IntRange(0, 5).Draw(t, draw("holds")) == 0 {
			d.Hold = &quarantine.PolicyHold{CaseID: rapid.SampledFrom([]string{"C-1", "C-2"}).Draw(t, draw("case")), Reason: "the policy's"}
		}
		d.Isolate = rapid.IntRange(0, 5).Draw(t, draw("isolates")) == 0
		return d
	}
	even, odd, unexplained := rule("even"), rule("odd"), rule("unexplained")
	return func(f quarantine.Facts) quarantine.Decision {
		switch {
		case f.Deletion == nil:
			return unexplained
		case strings.Contains("13579", f.OriginalName[len(f.OriginalName)-1:]):
			return odd
		}
		return even
	}
}

// anyHistory draws deaths, and what people do to what died.
func anyHistory(t *rapid.T) []death {
	var history []death
	for i := range rapid.IntRange(1, 8).Draw(t, "disks") {
		draw := func(what string) bool { return rapid.Bool().Draw(t, fmt.Sprint(what, i)) }
		history = append(history, death{
			pool: rapid.SampledFrom([]quarantine.PoolRef{vms, vols}).Draw(t, fmt.Sprint("pool", i)), explained: draw("explained"),
			after:    time.Duration(rapid.IntRange(0, 100).Draw(t, fmt.Sprint("after", i))) * time.Hour,
			extended: draw("extended"), held: draw("held"), lifted: draw("lifted"),
		})
	}
	return history
}

// ends is until when each disk is kept; the zero time: for as long as it is held.
func (w *world) ends() map[string]time.Time {
	all := map[string]time.Time{}
	for _, d := range w.disks() {
		all[d.ID] = d.RetainUntil
		if d.Held() {
			all[d.ID] = time.Time{}
		}
	}
	return all
}

// earlier reports whether a disk is kept for a shorter time than it was.
func earlier(is, was time.Time) bool {
	return !is.IsZero() && (was.IsZero() || is.Before(was))
}

// What a diff says of a policy is what applying it does, disk by disk: at once what
// lengthens, and nothing else; what shortens when another person has approved it. No
// hold, compliance or least time gives way. Done once, it has nothing left to do, and
// it stands when the catalog is lost.
func TestApplyDoesWhatTheDiffSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.policy.force(anyPolicy(rt, "present"))
		w.live(anyHistory(rt))
		w.jump(time.Duration(rapid.IntRange(1, 20*24).Draw(rt, "later")) * time.Hour)
		w.collector.Run(w.ctx, "cron", quarantine.JobOptions{ConfirmClock: true}) // some are expiring
		other := anyPolicy(rt, "other")
		diff := w.simulate(other, quarantine.SimulationOptions{From: t0, To: w.now().Add(time.Hour), Step: day, Changes: 100, Apply: true})
		before := w.ends()
		was := map[string]quarantine.Disk{}
		for _, d := range w.disks() {
			was[d.ID] = d
		}
		want, rules, shorter := map[string]time.Time{}, map[string]string{}, int64(0)
		for id, end := range before {
			want[id] = end
		}
		for _, c := range diff.Changes {
			rules[c.Disk] = c.ThenRule
			if c.Until.Equal(before[c.Disk]) {
				want[c.Disk] = c.ThenUntil
			} else {
				rt.Fatalf("%s is kept until %s, and the diff says %s", c.Disk, before[c.Disk], c.Until)
			}
			if earlier(c.ThenUntil, c.Until) {
				shorter++
			}
		}
		w.policy.force(other)
		w.jump(time.Minute)
		res := w.apply()
		if res.Shorter != shorter || diff.Shorter != shorter || res.Longer != diff.Longer || res.Stricter != diff.Stricter || res.Protected != diff.Protected {
			rt.Fatalf("the diff says %d shorter, %d longer, %d stricter, %d protected: %+v", diff.Shorter, diff.Longer, diff.Stricter, diff.Protected, res)
		}
		for id, end := range w.ends() {
			switch {
			case earlier(end, before[id]):
				rt.Fatalf("%s was kept until %s, and nobody approved that it is until %s", id, before[id], end)
			case !earlier(want[id], before[id]) && !end.Equal(want[id]):
				rt.Fatalf("%s is kept until %s, and the diff says %s", id, end, want[id])
			}
		}
		if shorter > 0 {
			w.jump(time.Minute)
			if r := w.agree(w.askToApply()); r.State != quarantine.RequestDone || r.Detail["disks"] != fmt.Sprint(shorter) {
				rt.Fatalf("%+v", r)
			}
		}
		strict := func(when string) {
			for _, d := range w.disks() {
				b := was[d.ID]
				switch {
				case !w.ends()[d.ID].Equal(want[d.ID]) && (w.ends()[d.ID].After(w.now()) || want[d.ID].After(w.now()) || want[d.ID].IsZero()):
					rt.Fatalf("%s: %s is kept until %s, and the diff says %s", when, d.ID, w.ends()[d.ID], want[d.ID])
				case d.State != b.State && (d.State != quarantine.Quarantined || !d.Held() && !d.RetainUntil.After(w.now())):
					rt.Fatalf("%s: %s was %s and is %s", when, d.ID, b.State, d.State)
				case b.Decision.Mode == quarantine.Compliance && (d.Decision.Mode != quarantine.Compliance || d.RetainUntil.Before(b.RetainUntil)):
					rt.Fatalf("%s: %s was under compliance until %s: %s until %s", when, d.ID, b.RetainUntil, d.Decision.Mode, d.RetainUntil)
				case rules[d.ID] != "" && !earlier(want[d.ID], before[d.ID]) && d.Decision.Rule != rules[d.ID]:
					rt.Fatalf("%s: %s is under rule %s, and the diff says %s", when, d.ID, d.Decision.Rule, rules[d.ID])
				case d.Decision.Min < b.Decision.Min, b.Decision.Isolate && !d.Decision.Isolate, b.Decision.KeepLast.N > d.Decision.KeepLast.N:
					rt.Fatalf("%s: %s was promised %+v and is %+v", when, d.ID, b.Decision, d.Decision)
				}
			}
		}
		strict("applied")
		if again := w.apply(); again.Shorter+again.Longer+again.Stricter != 0 {
			rt.Fatalf("applied again: %+v", again)
		}
		w.reconcile()
		w.sound("applied")
		w.store.lose()
		w.obs.forget()
		w.restart()
		w.reconcile()
		strict("the catalog was lost")
	})
}
