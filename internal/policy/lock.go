package policy

import (
	"fmt"
	"slices"
	"time"

	"quarantine/internal/quarantine"
)

// The bounds of a lock's delay.
const (
	MinUnlockDelay = 7 * 24 * time.Hour
	MaxUnlockDelay = 30 * 24 * time.Hour
)

// lockSpec locks a rule: it cannot be loosened before the delay has passed since
// somebody asked for that.
type lockSpec struct {
	UnlockDelay string `yaml:"unlock_delay"`
}

func (s *lockSpec) parse() (time.Duration, error) {
	d, err := parsePeriod(s.UnlockDelay)
	if err != nil {
		return 0, fmt.Errorf("lock: unlock_delay: %w", err)
	}
	if d < MinUnlockDelay || d > MaxUnlockDelay {
		return 0, fmt.Errorf("lock: unlock_delay: %s is not between %s and %s", s.UnlockDelay,
			quarantine.FormatDuration(MinUnlockDelay), quarantine.FormatDuration(MaxUnlockDelay))
	}
	return d, nil
}

// Loosening is a locked rule that another policy would loosen.
type Loosening struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
}

// Loosened returns the locked rules of the policy that next would loosen: each
// that it lacks, that gives less there, that applies to something else, or that is
// not asked any more because a rule before it decides, and gives less.
//
// Two expressions cannot be compared, so any change of what a locked rule applies
// to counts as loosening. A rule that comes before it anew, or applies to something
// else than it did, may take any of its disks; it must give them no less. One that
// stood before it, and gave no less than it, must go on doing so: else a locked rule
// could be loosened in two harmless steps. A rule before it that goes leaves its
// disks to the locked one, or to another that stood before it.
func (s *Set) Loosened(next *Set) []Loosening {
	var all []Loosening
	olds := append(slices.Clone(s.rules), s.def)
	news := append(slices.Clone(next.rules), next.def)
	byName := func(rules []rule, name string) int {
		return slices.IndexFunc(rules, func(r rule) bool { return r.name == name })
	}
	for i := range olds {
		r := &olds[i]
		if r.lock == 0 {
			continue
		}
		at := byName(news, r.name)
		why := ""
		if at < 0 {
			why = "it is not there any more"
		} else {
			why = s.loosened(r, next, &news[at])
		}
		for j := 0; why == "" && j < at; j++ {
			before := &news[j]
			less := next.less(before, s, r)
			if less == "" {
				continue
			}
			was := byName(olds[:i], before.name)
			if was >= 0 && sameMatch(&olds[was], before) && s.less(&olds[was], s, r) != "" {
				continue
			}
			why = fmt.Sprintf("rule %q before it may take its disks: %s", before.name, less)
		}
		if why != "" {
			all = append(all, Loosening{Rule: r.name, Why: why})
		}
	}
	return all
}

// loosened says how the rule of its name in the other policy loosens a rule, or "".
func (s *Set) loosened(r *rule, next *Set, other *rule) string {
	switch {
	case !sameMatch(r, other):
		return "it applies to something else"
	case other.lock < r.lock:
		return "its lock goes, or its delay is shorter"
	}
	return next.less(other, s, r)
}

// less says in what a rule of the policy gives, at least to some, less than the
// locked rule of the other policy gives to all, or "".
func (s *Set) less(r *rule, in *Set, locked *rule) string {
	was, _ := in.bounds.clamp(locked.terms)
	gives := []terms{r.terms}
	for i := range s.overrides {
		if r.lock == 0 {
			t, _ := s.overrides[i].change(r.terms)
			gives = append(gives, t)
		}
	}
	for _, t := range gives {
		is, _ := s.bounds.clamp(t)
		switch {
		case is.retain < was.retain:
			return fmt.Sprintf("%s is less than %s", quarantine.FormatDuration(is.retain), quarantine.FormatDuration(was.retain))
		case is.min < was.min:
			return fmt.Sprintf("a min of %s is less than %s", quarantine.FormatDuration(is.min), quarantine.FormatDuration(was.min))
		case was.mode == quarantine.Compliance && is.mode != was.mode:
			return "it is not under compliance"
		}
	}
	switch k, hold := locked.keepLast, locked.hold; {
	case k.N > 0 && (r.keepLast.N < k.N || r.keepLast.By != k.By):
		return "it does not keep the last " + k.String()
	case hold != nil && (r.hold == nil || *r.hold != *hold):
		return "it does not hold for case " + hold.CaseID
	case locked.isolate && !r.isolate:
		return "it does not isolate"
	}
	return ""
}

// locked is what an override makes of a locked rule's terms: it may give more.
func (r *rule) locked(t terms, o *override, why string) (terms, string) {
	if t.retain >= r.retain && t.min >= r.min && strictest(r.mode, t.mode) == t.mode {
		return t, why
	}
	t = terms{retain: max(t.retain, r.retain), min: max(t.min, r.min), mode: strictest(t.mode, r.mode)}
	return t, fmt.Sprintf("; %s gives less in part, and the rule is locked", o.name)
}

func sameMatch(a, b *rule) bool {
	if a.match != b.match || (a.window == nil) != (b.window == nil) {
		return false
	}
	if a.window == nil {
		return true
	}
	v, w := a.window, b.window
	return v.from.Equal(w.from) && v.until.Equal(w.until) && v.start == w.start && v.end == w.end && slices.Equal(v.days, w.days)
}

// locks are the delays of the locked rules, by name.
func (s *Set) locks() map[string]time.Duration {
	all := map[string]time.Duration{}
	for _, r := range append(slices.Clone(s.rules), s.def) {
		if r.lock > 0 {
			all[r.name] = r.lock
		}
	}
	return all
}
