package policy

import (
	"fmt"
	"strings"

	"quarantine/internal/quarantine"
)

// Outcomes of a rule in a trace.
const (
	Matched  = "matched"
	NoMatch  = "no match"
	Failed   = "failed"
	NotTried = "not tried"
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

func (s *Set) explain(f quarantine.Facts) (quarantine.Decision, []RuleTrace) {
	input := vars(f)
	var trace []RuleTrace
	var failed []*rule
	decider := &s.def
	for i := range s.rules {
		r := &s.rules[i]
		t := RuleTrace{Rule: r.name, File: r.file, Match: r.match, Retain: quarantine.FormatDuration(r.retain), Outcome: NotTried}
		if decider == &s.def {
			out, _, err := r.program.Eval(input)
			switch {
			case err != nil:
				t.Outcome, t.Error = Failed, err.Error()
				failed = append(failed, r)
			case out.Value() == true:
				t.Outcome = Matched
				decider = r
			default:
				t.Outcome = NoMatch
			}
		}
		trace = append(trace, t)
	}
	def := RuleTrace{Rule: DefaultRule, File: s.def.file, Retain: quarantine.FormatDuration(s.def.retain), Outcome: NotTried}
	if decider == &s.def {
		def.Outcome = Matched
	}
	return decision(decider, failed), append(trace, def)
}

// decision is what the deciding rule gives, but never less than what a rule
// that failed would have given: it may have been the one that applies.
func decision(r *rule, failed []*rule) quarantine.Decision {
	d := quarantine.Decision{Retain: r.retain, Rule: r.name, PolicyHash: r.hash, Isolate: r.isolate, Hold: r.hold}
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
