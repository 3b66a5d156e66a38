package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"quarantine/internal/quarantine"
)

// file is the content of one policy file.
type file struct {
	Bounds    *boundsSpec    `yaml:"bounds"`
	Rules     []ruleSpec     `yaml:"rules"`
	Overrides []overrideSpec `yaml:"overrides"`
	Default   *ruleSpec      `yaml:"default"`
}

type ruleSpec struct {
	Name string `yaml:"name"`

	// What it applies to: all that is given must be so, and Unless not.
	Match    string            `yaml:"match"`
	Kinds    []string          `yaml:"kinds"`
	Tags     []string          `yaml:"tags"`     // any of them
	Metadata map[string]string `yaml:"metadata"` // all of them
	Unless   string            `yaml:"unless"`
	When     *whenSpec         `yaml:"when"`

	// What it gives.
	Retain   string    `yaml:"retain"`
	Min      string    `yaml:"min"`
	Mode     string    `yaml:"mode"`
	KeepLast *keepSpec `yaml:"keep_last"`
	Hold     *holdSpec `yaml:"hold"`
	Isolate  bool      `yaml:"isolate"`
	Flatten  string    `yaml:"flatten"`

	Lock *lockSpec `yaml:"lock"`
}

// keepSpec keeps the last of a kind beyond their time.
type keepSpec struct {
	N  int    `yaml:"n"`
	By string `yaml:"by"`
}

type holdSpec struct {
	CaseID string `yaml:"case_id"`
	Reason string `yaml:"reason"`
}

// rule is a rule that loaded.
type rule struct {
	name string
	// match is the whole expression: match, the short forms, and not unless.
	match   string
	file    string // base name
	hash    string // SHA-256 of the file, hex
	program cel.Program
	window  *window // nil: always
	terms
	keepLast quarantine.KeepLast
	hold     *quarantine.PolicyHold
	isolate  bool
	flatten  quarantine.FlattenRule // "": never
	lock     time.Duration          // 0: not locked
}

// terms are for how long a disk is kept, and how firmly.
type terms struct {
	retain time.Duration
	min    time.Duration
	mode   quarantine.RetentionMode // "": governance
}

// maxKeepLast bounds keep_last: each disk that is due and kept costs a look at so
// many others, in every pass.
const maxKeepLast = 100

// kinds are those that a rule may name.
var kinds = []quarantine.Kind{quarantine.KindDelete, quarantine.KindSoftDelete, quarantine.KindRebuild, quarantine.KindShelveOffload,
	quarantine.KindResize, quarantine.KindUnrescue, quarantine.KindVolumeDelete, quarantine.KindImageDelete, quarantine.KindRecoverDelete,
	quarantine.KindRecreate, quarantine.KindDiskDetach}

// expression joins all that says what the rule applies to; "" if nothing does.
// Each part is checked alone, so that a mistake is named by its key.
func (s *ruleSpec) expression(env *cel.Env) (string, error) {
	match, unless := strings.TrimSpace(s.Match), strings.TrimSpace(s.Unless)
	for _, e := range []struct{ key, text string }{{"match", match}, {"unless", unless}} {
		if e.text == "" {
			continue
		}
		if _, err := compileExpression(env, e.text); err != nil {
			return "", fmt.Errorf("%s: %w", e.key, err)
		}
	}
	var parts []string
	if len(s.Kinds) > 0 {
		for _, k := range s.Kinds {
			if !slices.Contains(kinds, quarantine.Kind(k)) {
				return "", fmt.Errorf("kinds: %q is none of %v", k, kinds)
			}
		}
		parts = append(parts, "kind in ["+strings.Join(quoted(s.Kinds), ", ")+"]")
	}
	if len(s.Tags) > 0 {
		parts = append(parts, "tags.exists(t, t in ["+strings.Join(quoted(s.Tags), ", ")+"])")
	}
	for _, k := range slices.Sorted(maps.Keys(s.Metadata)) {
		key := strconv.Quote(k)
		parts = append(parts, fmt.Sprintf("%s in metadata && metadata[%s] == %s", key, key, strconv.Quote(s.Metadata[k])))
	}
	switch {
	case match == "":
	case len(parts) == 0 && unless == "":
		return match, nil
	default:
		parts = append(parts, "("+match+")")
	}
	if unless != "" {
		parts = append(parts, "!("+unless+")")
	}
	return strings.Join(parts, " && "), nil
}

func quoted(words []string) []string {
	var out []string
	for _, w := range words {
		out = append(out, strconv.Quote(w))
	}
	return out
}

func compileExpression(env *cel.Env, text string) (cel.Program, error) {
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("it gives %s, not true or false", ast.OutputType())
	}
	return env.Program(ast, bounded(ast)...)
}

func compile(env *cel.Env, spec ruleSpec, base, hash string) (rule, error) {
	r := rule{name: spec.Name, file: base, hash: hash, isolate: spec.Isolate}
	var err error
	if r.terms, err = parseTerms(spec.Retain, spec.Min, spec.Mode); err != nil {
		return r, err
	}
	if k := spec.KeepLast; k != nil {
		if k.N < 1 || k.N > maxKeepLast || k.By != quarantine.KeepByVM && k.By != quarantine.KeepByProject {
			return r, fmt.Errorf("keep_last: it needs an n of 1 to %d, and by: %s or %s", maxKeepLast, quarantine.KeepByVM, quarantine.KeepByProject)
		}
		r.keepLast = quarantine.KeepLast{N: k.N, By: k.By}
	}
	if spec.Hold != nil {
		if spec.Hold.CaseID == "" || spec.Hold.Reason == "" {
			return r, errors.New("hold: it needs a case_id and a reason")
		}
		r.hold = &quarantine.PolicyHold{CaseID: spec.Hold.CaseID, Reason: spec.Hold.Reason}
	}
	// Never is the same as nothing, and written as nothing.
	switch f := quarantine.FlattenRule(spec.Flatten); {
	case f == "" || f == quarantine.FlattenNever:
	case slices.Contains(quarantine.FlattenRules(), f):
		r.flatten = f
	default:
		return r, fmt.Errorf("flatten: %q is none of %v", spec.Flatten, quarantine.FlattenRules())
	}
	if spec.Lock != nil {
		if r.lock, err = spec.Lock.parse(); err != nil {
			return r, err
		}
	}
	if spec.When != nil {
		if r.window, err = spec.When.window(); err != nil {
			return r, fmt.Errorf("when: %w", err)
		}
	}
	if r.match, err = spec.expression(env); err != nil {
		return r, err
	}
	if r.match == "" && r.window != nil {
		r.match = "true"
	}
	if r.match == "" {
		return r, nil
	}
	if r.program, err = compileExpression(env, r.match); err != nil {
		return r, fmt.Errorf("match: %w", err)
	}
	return r, nil
}

// parseTerms reads the keys retain, min and mode.
func parseTerms(retain, least, mode string) (terms, error) {
	var t terms
	var err error
	if t.retain, err = parsePeriod(retain); err != nil {
		return t, fmt.Errorf("retain: %w", err)
	}
	if least != "" {
		if t.min, err = parsePeriod(least); err != nil {
			return t, fmt.Errorf("min: %w", err)
		}
		if t.min > t.retain {
			return t, fmt.Errorf("min: %s is longer than retain, which is %s", least, retain)
		}
	}
	t.mode, err = parseMode(mode)
	return t, err
}

func parseMode(mode string) (quarantine.RetentionMode, error) {
	switch m := quarantine.RetentionMode(mode); m {
	case "", quarantine.Governance, quarantine.Compliance:
		return m, nil
	}
	return "", fmt.Errorf("mode: %q is neither %s nor %s", mode, quarantine.Governance, quarantine.Compliance)
}

func parsePeriod(text string) (time.Duration, error) {
	d, err := quarantine.ParseDuration(text)
	if err != nil {
		return 0, err
	}
	if d <= 0 || d > MaxRetain {
		return 0, fmt.Errorf("%s is not between 1s and %s", text, quarantine.FormatDuration(MaxRetain))
	}
	return d, nil
}

// strictest is the mode that protects more.
func strictest(a, b quarantine.RetentionMode) quarantine.RetentionMode {
	if b == quarantine.Compliance {
		return b
	}
	return cmp.Or(a, b)
}
