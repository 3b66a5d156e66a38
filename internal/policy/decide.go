package policy

import (
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
}

// Decide returns the decision about a disk with these facts. It is pure.
func (s *Set) Decide(f quarantine.Facts) quarantine.Decision {
	d, _ := s.explain(f)
	return d
}

// Explain returns the decision, and what each rule said, in order.
func (s *Set) Explain(f quarantine.Facts) (quarantine.Decision, []RuleTrace) { return s.explain(f) }

// explain decides twice where a tenant has a say: with the tenant's own words,
// and without them. The longer retention wins, so that a word (a metadata key, a
// tag, a name) can lengthen and never shorten: who breaks in gets to write them.
func (s *Set) explain(f quarantine.Facts) (quarantine.Decision, []RuleTrace) {
	given := s.evaluate(vars(f), nil)
	bareFacts, any := withoutTenantsWords(f)
	if !any {
		return decision(given.decider, given.failed), given.trace
	}
	bare := s.evaluate(vars(bareFacts), append([]*rule{}, given.failed...))
	d, b := decision(given.decider, given.failed), decision(bare.decider, bare.failed)
	// Nor does a word take away a hold or the isolation.
	isolate, hold := d.Isolate || b.Isolate, d.Hold
	if hold == nil {
		hold = b.Hold
	}
	d.Isolate, d.Hold = isolate, hold
	b.Isolate, b.Hold = isolate, hold
	if b.Retain <= d.Retain {
		return d, given.trace
	}
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
	trace   []RuleTrace
}

// evaluate asks the rules in order. A rule that fails may have matched; where
// mayFail is given, one that is not in it has failed for want of a tenant's
// word, and does not match.
func (s *Set) evaluate(input map[string]any, mayFail []*rule) evaluation {
	e := evaluation{decider: &s.def}
	bare := mayFail != nil
	for i := range s.rules {
		r := &s.rules[i]
		t := RuleTrace{Rule: r.name, File: r.file, Match: r.match, Retain: quarantine.FormatDuration(r.retain), Outcome: NotTried}
		if e.decider == &s.def {
			out, _, err := r.program.Eval(input)
			switch {
			case err != nil && bare && !slices.Contains(mayFail, r):
				t.Outcome = NoMatch
			case err != nil:
				t.Outcome, t.Error = Failed, err.Error()
				e.failed = append(e.failed, r)
			case out.Value() == true:
				t.Outcome = Matched
				e.decider = r
			default:
				t.Outcome = NoMatch
			}
		}
		e.trace = append(e.trace, t)
	}
	def := RuleTrace{Rule: DefaultRule, File: s.def.file, Retain: quarantine.FormatDuration(s.def.retain), Outcome: NotTried}
	if e.decider == &s.def {
		def.Outcome = Matched
	}
	e.trace = append(e.trace, def)
	return e
}

// decision is what the deciding rule gives, but never less than what a rule
// that failed would have given: it may have been the one that applies.
func decision(r *rule, failed []*rule) quarantine.Decision {
	d := quarantine.Decision{Retain: r.retain, Rule: r.name, PolicyHash: r.hash, Isolate: r.isolate, Hold: r.hold, Flatten: r.flatten}
	if r.match == "" {
		d.Reason = fmt.Sprintf("no rule matched; default of %s", r.file)
	} else {
		d.Reason = fmt.Sprintf("rule %q of %s: %s", r.name, r.file, strings.Join(strings.Fields(r.match), " "))
	}
	for _, f := range failed {
		d.Reason += fmt.Sprintf("; rule %q could not be evaluated", f.name)
		if f.retain > d.Retain {
			d.Retain = f.retain
			d.Reason += ", so its longer retention applies"
		}
		d.Isolate = d.Isolate || f.isolate
		if d.Hold == nil && f.hold != nil {
			d.Hold = f.hold
			d.Reason += ", so its hold applies"
		}
	}
	return d
}
