package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// Outcomes of a rule in a trace.
const (
	Matched  = "matched"
	NoMatch  = "no match"
	Failed   = "failed"
	NotTried = "not tried"
	// Overruled: it matched on a tenant's word only, and would have shortened.
	Overruled = "overruled"
)

// RuleTrace is what one rule said about a disk.
type RuleTrace struct {
	Rule    string `json:"rule"`
	File    string `json:"file"`
	Match   string `json:"match,omitempty"`
	Retain  string `json:"retain"`
	Outcome string `json:"outcome"`
	Error   string `json:"error,omitempty"`
	// Override says what an override and the bounds made of what the deciding rule
	// gives. They are no rules: the rule that matched has decided, and its name
	// stands in the record; what changed its terms stands in the Reason and here.
	Override string `json:"override,omitempty"`
}

// Decide returns the decision about a disk with these facts. It is pure.
func (s *Set) Decide(f quarantine.Facts) quarantine.Decision {
	d, _ := s.explain(f, false)
	return d
}

// Explain returns the decision, and what each rule said, in order.
func (s *Set) Explain(f quarantine.Facts) (quarantine.Decision, []RuleTrace) {
	return s.explain(f, true)
}

// explain decides twice where a tenant has a say: with the tenant's own words,
// and without them. The longer retention wins, so that a word (a metadata key, a
// tag, a name) can lengthen and never shorten: who breaks in gets to write them.
// Nor does a word take away what else protects the disk without it. Where no rule
// has looked at a word, the second decision is the first.
func (s *Set) explain(f quarantine.Facts, traced bool) (quarantine.Decision, []RuleTrace) {
	given := s.evaluate(f, nil, traced)
	d := s.decision(f, &given)
	if !given.words {
		return d, given.trace
	}
	bareFacts, any := withoutTenantsWords(f)
	if !any {
		return d, given.trace
	}
	bare := s.evaluate(bareFacts, append([]*rule{}, given.failed...), traced)
	b := s.decision(f, &bare)
	protect := func(d *quarantine.Decision, other quarantine.Decision) {
		d.Isolate = d.Isolate || other.Isolate
		if d.Hold == nil {
			d.Hold = other.Hold
		}
		d.Mode, d.Min = strictest(d.Mode, other.Mode), max(d.Min, other.Min)
		if other.KeepLast.N > d.KeepLast.N {
			d.KeepLast = other.KeepLast
		}
	}
	if b.Retain <= d.Retain {
		protect(&d, b)
		return d, given.trace
	}
	protect(&b, d)
	if given.decider != bare.decider {
		b.Reason += fmt.Sprintf("; rule %q looks at the tenant's own words, which never shorten a retention", given.decider.name)
		for i := range bare.trace {
			if t := &bare.trace[i]; given.trace[i].Outcome == Matched {
				t.Outcome = Overruled
			}
		}
	}
	return b, bare.trace
}

// withoutTenantsWords takes away what a tenant may write as it likes, and
// reports whether there was anything.
func withoutTenantsWords(f quarantine.Facts) (quarantine.Facts, bool) {
	if f.Deletion == nil {
		return f, false
	}
	d := *f.Deletion
	d.Metadata, d.Tags, d.ResourceName, d.Image.Name, d.KeyPair = nil, nil, "", "", ""
	d.Addresses = slices.Clone(d.Addresses)
	for i := range d.Addresses {
		d.Addresses[i].Network = ""
	}
	if d.Equal(*f.Deletion) {
		return f, false
	}
	f.Deletion = &d
	return f, true
}

// evaluation is what the rules say of one set of facts.
type evaluation struct {
	decider *rule
	failed  []*rule
	words   bool // a rule has looked at a tenant's word
	trace   []RuleTrace
}

// evaluate asks the rules in order, up to the one that decides. A rule that fails
// may have matched; where mayFail is given, one that is not in it has failed for
// want of a tenant's word, and does not match.
func (s *Set) evaluate(f quarantine.Facts, mayFail []*rule, traced bool) evaluation {
	e := evaluation{decider: &s.def}
	in := newInput(f)
	bare := mayFail != nil
	note := func(r *rule, name, outcome string, err error) {
		if !traced {
			return
		}
		t := RuleTrace{Rule: name, File: r.file, Match: r.match, Retain: quarantine.FormatDuration(r.retain), Outcome: outcome}
		if err != nil {
			t.Error = err.Error()
		}
		e.trace = append(e.trace, t)
	}
	for i := range s.rules {
		r := &s.rules[i]
		if e.decider != &s.def {
			note(r, r.name, NotTried, nil)
			continue
		}
		matched, err := r.matches(f, in)
		switch {
		case err != nil && bare && !slices.Contains(mayFail, r):
			note(r, r.name, NoMatch, nil)
		case err != nil:
			note(r, r.name, Failed, err)
			e.failed = append(e.failed, r)
		case matched:
			note(r, r.name, Matched, nil)
			e.decider = r
		default:
			note(r, r.name, NoMatch, nil)
		}
	}
	outcome := NotTried
	if e.decider == &s.def {
		outcome = Matched
	}
	note(&s.def, DefaultRule, outcome, nil)
	e.words = in.words
	return e
}

// matches asks one rule.
func (r *rule) matches(f quarantine.Facts, in *input) (bool, error) {
	out, _, err := r.program.Eval(in)
	matched := err == nil && out.Value() == true
	if r.window == nil || err == nil && !matched {
		return matched, err
	}
	if f.DeletedAt.IsZero() {
		return false, errors.New("when: it is not known when the disk was deleted")
	}
	if !r.window.contains(f.DeletedAt) {
		return false, nil
	}
	return matched, err
}

// given is what the rule gives a disk with these facts: its own terms, changed by
// the first override that is about the disk, within the bounds. why says what
// changed them.
func (s *Set) given(r *rule, f quarantine.Facts) (t terms, why string) {
	t = r.terms
	for i := range s.overrides {
		if o := &s.overrides[i]; o.applies(f) {
			t, why = o.change(t)
			if r.lock > 0 {
				t, why = r.locked(t, o, why)
			}
			break
		}
	}
	t, clamped := s.bounds.clamp(t)
	return t, why + clamped
}

// decision is what the deciding rule gives, but never less than what a rule
// that failed would have given: it may have been the one that applies.
func (s *Set) decision(f quarantine.Facts, e *evaluation) quarantine.Decision {
	r := e.decider
	t, why := s.given(r, f)
	d := quarantine.Decision{Retain: t.retain, Min: t.min, Mode: t.mode, KeepLast: r.keepLast, Rule: r.name, PolicyHash: r.hash, Isolate: r.isolate, Hold: r.hold, Flatten: r.flatten}
	if r.match == "" {
		d.Reason = fmt.Sprintf("no rule matched; default of %s", r.file)
	} else {
		d.Reason = fmt.Sprintf("rule %q of %s: %s", r.name, r.file, strings.Join(strings.Fields(r.match), " "))
	}
	d.Reason += why
	for i := range e.trace {
		if e.trace[i].Rule == r.name {
			e.trace[i].Override = strings.TrimPrefix(why, "; ")
		}
	}
	for _, failed := range e.failed {
		d.Reason += fmt.Sprintf("; rule %q could not be evaluated", failed.name)
		t, _ := s.given(failed, f)
		if t.retain > d.Retain {
			d.Retain = t.retain
			d.Reason += ", so its longer retention applies"
		}
		if t.mode == quarantine.Compliance && d.Mode != t.mode {
			d.Mode = t.mode
			d.Reason += ", so its mode applies"
		}
		d.Min = max(d.Min, t.min)
		if failed.keepLast.N > d.KeepLast.N {
			d.KeepLast = failed.keepLast
		}
		d.Isolate = d.Isolate || failed.isolate
		if d.Hold == nil && failed.hold != nil {
			d.Hold = failed.hold
			d.Reason += ", so its hold applies"
		}
	}
	return d
}
