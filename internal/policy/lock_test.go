package policy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// memory is a custody log and a catalog's marks that outlive the Store.
type memory struct {
	entries []quarantine.Entry
	marks   map[string][]byte
	fault   error // of the log
	now     time.Time
}

func (m *memory) Append(_ context.Context, e quarantine.Entry) error {
	if m.fault == nil {
		m.entries = append(m.entries, e)
	}
	return m.fault
}

func (m *memory) Entries(_ context.Context, disk string) (of []quarantine.Entry, err error) {
	for _, e := range m.entries {
		if e.Disk == disk {
			of = append(of, e)
		}
	}
	return of, m.fault
}

func (m *memory) Verify(context.Context) error { return m.fault }

func (m *memory) Mark(_ context.Context, name string) ([]byte, error) {
	if b, ok := m.marks[name]; ok {
		return b, nil
	}
	return nil, quarantine.ErrNotFound
}

func (m *memory) SetMark(_ context.Context, name string, b []byte) error {
	m.marks[name] = b
	return nil
}

func (m *memory) acts() string {
	var acts []string
	for _, e := range m.entries {
		acts = append(acts, e.Act)
	}
	return strings.Join(acts, " ")
}

// site is a daemon's policy, across restarts.
type site struct {
	*memory
	t   *testing.T
	dir string
	*policy.Store
}

func newSite(t *testing.T, text string) *site {
	s := &site{memory: &memory{marks: map[string][]byte{}, now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}, t: t, dir: t.TempDir()}
	s.write(text)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) write(text string) { write(s.t, s.dir, "p.yaml", text) }

func (s *site) start() error {
	s.t.Helper()
	var err error
	if s.Store, err = policy.NewStore(s.t.Context(), s.dir); err != nil {
		s.t.Fatal(err)
	}
	return s.Keep(s.t.Context(), policy.Keeping{Custody: s.memory, History: s.memory, Marks: s.memory, Clock: func() time.Time { return s.now }})
}

// keeps fails the test unless the policy in force keeps a disk for so many days,
// and removals stop or not.
func (s *site) keeps(days int, stopped bool) {
	s.t.Helper()
	if d := s.Decide(vm(nil)); d.Retain != time.Duration(days)*day || (s.Ready() != nil) != stopped {
		s.t.Fatalf("it is kept for %s, and %v", d.Retain, s.Ready())
	}
}

const lockedText = `rules:
  - {name: law, match: 'project.name == "physics"', retain: %s, lock: {unlock_delay: 14d}}
default: {retain: 5d}
`

// A locked rule cannot be loosened before its delay is over: not by a reload, not by
// a restart, not by the loss of the catalog or of the custody log. Each attempt is in
// the log once. Once the time has come it is loosened, once.
func TestALockedRuleStays(t *testing.T) {
	s := newSite(t, fmt.Sprintf(lockedText, "30d"))
	reload := func(want error) {
		t.Helper()
		if err := s.Reload(t.Context()); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	s.keeps(30, false)
	if s.acts() != "policy-locked" {
		t.Fatal(s.acts())
	}
	s.write(fmt.Sprintf(lockedText, "3d"))
	for range 2 {
		reload(quarantine.ErrRefused)
		s.keeps(30, true)
	}
	if err := s.start(); !errors.Is(err, quarantine.ErrRefused) || !strings.Contains(err.Error(), `"law" is locked: 3d is less than 30d`) {
		t.Fatal(err)
	}
	s.keeps(30, true)
	if s.acts() != "policy-locked policy-refused" {
		t.Fatal(s.acts())
	}
	// Either of the two places is enough.
	kept, marks := s.entries, s.marks
	s.entries = nil
	if err := s.start(); !errors.Is(err, quarantine.ErrRefused) {
		t.Fatal(err)
	}
	s.entries, s.marks = kept, map[string][]byte{}
	if err := s.start(); !errors.Is(err, quarantine.ErrRefused) {
		t.Fatal(err)
	}
	s.marks = marks
	s.keeps(30, true)
	// Back, or tighter: at once.
	s.write(fmt.Sprintf(lockedText, "40d"))
	reload(nil)
	s.keeps(40, false)

	if _, err := s.Unlock(t.Context(), "ada", "default", "r"); !errors.Is(err, quarantine.ErrNotFound) {
		t.Errorf("a rule that is not locked: %v", err)
	}
	l, err := s.Unlock(t.Context(), "ada", "law", "the law changed")
	if err != nil || l.Unlock == nil || !l.Unlock.From.Equal(s.now.Add(14*day)) {
		t.Fatalf("%+v, %v", l, err)
	}
	s.now = s.now.Add(14*day - time.Second)
	if l, err := s.Unlock(t.Context(), "eve", "law", "again"); err != nil || l.Unlock.By != "ada" {
		t.Fatalf("a second asking: %+v, %v", l, err)
	}
	s.write(fmt.Sprintf(lockedText, "3d"))
	reload(quarantine.ErrRefused)
	// Taken back, and asked for again.
	if l, err := s.Relock(t.Context(), "ada", "law", "no"); err != nil || l.Unlock != nil {
		t.Fatalf("%+v, %v", l, err)
	}
	s.now = s.now.Add(day)
	reload(quarantine.ErrRefused)
	if _, err := s.Unlock(t.Context(), "ada", "law", "yes"); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(14 * day)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	s.keeps(3, false)
	if all := s.Locks(); len(all) != 1 || all[0].Unlock != nil || all[0].UnlockDelay != "14d" {
		t.Errorf("%+v", all)
	}
	s.write("default: {retain: 1d}\n")
	reload(quarantine.ErrRefused)
	s.keeps(3, true)
}

// Where it is not known what is locked, nothing is removed until it is; where an act
// cannot be written down it is not done.
func TestLocksThatCannotBeRead(t *testing.T) {
	s := newSite(t, fmt.Sprintf(lockedText, "30d"))
	s.fault = errors.New("broken")
	if _, err := s.Unlock(t.Context(), "ada", "law", "r"); err == nil || s.Locks()[0].Unlock != nil {
		t.Errorf("unlocked without a custody entry: %v, %+v", err, s.Locks())
	}
	s.write(fmt.Sprintf(lockedText, "3d"))
	for range 2 {
		if err := s.start(); err == nil || s.Reload(t.Context()) == nil || s.Ready() == nil {
			t.Fatal("removals go on")
		}
	}
	s.fault = nil
	if err := s.Reload(t.Context()); !errors.Is(err, quarantine.ErrRefused) {
		t.Fatal(err)
	}
}

// What loosens a locked rule, and what does not.
func TestLoosened(t *testing.T) {
	const old = `rules:
  - {name: weak, match: 'size_bytes == 1', retain: 1d}
  - {name: strong, match: 'size_bytes == 2', retain: 90d, min: 90d, mode: compliance, keep_last: {n: 9, by: vm}, isolate: true, hold: {case_id: C, reason: r}}
  - {name: law, match: 'true', kinds: [delete], retain: 30d, min: 10d, mode: compliance, keep_last: {n: 2, by: vm}, isolate: true, hold: {case_id: C, reason: r}, lock: {unlock_delay: 14d}}
  - {name: after, match: 'true', retain: 2d}
default: {retain: 5d}
`
	for edit, loosens := range map[string]bool{
		"|":                       false,
		"retain: 30d|retain: 31d": false,
		"retain: 30d|retain: 29d": true,
		"min: 10d|min: 9d":        true,
		"min: 10d|min: 30d":       false,
		"min: 10d, mode: compliance|min: 10d, mode: governance": true,
		"n: 2|n: 1":                      true,
		"n: 2|n: 3":                      false,
		"n: 2, by: vm|n: 2, by: project": true,
		"[delete]|[delete, rebuild]":     true, // nobody can compare them
		"kinds: [delete],|kinds: [delete], when: {hours: 01-02},":                                true,
		"isolate: true, hold: {case_id: C, reason: r}, lock|hold: {case_id: C, reason: r}, lock": true,
		"isolate: true, hold: {case_id: C, reason: r}, lock|isolate: true, lock":                 true,
		", lock: {unlock_delay: 14d}|":                                                           true,
		"unlock_delay: 14d|unlock_delay: 7d":                                                     true,
		"unlock_delay: 14d|unlock_delay: 30d":                                                    false,
		"name: law|name: order":                                                                  true,
		// What stands before it.
		"rules:|rules:\n  - {name: new, match: 'size_bytes == 3', retain: 29d}":                                                                                                      true,
		"rules:|rules:\n  - {name: new, match: 'size_bytes == 3', retain: 30d, min: 10d, mode: compliance, keep_last: {n: 2, by: vm}, isolate: true, hold: {case_id: C, reason: r}}": false,
		"size_bytes == 1|size_bytes == 7":                                   true,
		"retain: 1d|retain: 2h":                                             false, // it never gave as much
		"retain: 90d, min: 90d|retain: 9d, min: 9d":                         true,
		"retain: 90d, min: 90d|retain: 90d, min: 1d":                        true,
		"after, match: 'true', retain: 2d|after, match: 'true', retain: 1d": false,
		"default: {retain: 5d}|default: {retain: 1d}":                       false,
		"rules:|bounds: {max: 29d}\nrules:":                                 true,
		"rules:|bounds: {max: 30d}\nrules:":                                 false,
		// The override is none for the locked rule, and one for the strong before it.
		"rules:|overrides: [{project: p, retain: 1d}]\nrules:":  true,
		"rules:|overrides: [{project: p, retain: 95d}]\nrules:": false,
	} {
		from, to, _ := strings.Cut(edit, "|")
		if !strings.Contains(old, from) {
			t.Fatalf("%q", from)
		}
		got := load(t, old).Loosened(load(t, strings.Replace(old, from, to, 1)))
		if (len(got) == 1) != loosens {
			t.Errorf("%q for %q: %+v", to, from, got)
		}
	}
}

// Whatever else a policy changes: where it loosens nothing that is locked, no disk
// that a locked rule decided about is kept for less by it.
func TestWhatIsNotLoosenedStays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var texts [2]string
		order := rapid.Permutation([]string{"a", "b", "c"}).Draw(rt, "order")
		for i := range texts {
			var b strings.Builder
			if i == 1 && rapid.Bool().Draw(rt, "another order") {
				order = rapid.Permutation(order).Draw(rt, "new order")
			}
			if rapid.Bool().Draw(rt, "override") {
				fmt.Fprintf(&b, "overrides: [{project: p1, retain: %dd}]\n", rapid.IntRange(1, 9).Draw(rt, "by"))
			}
			b.WriteString("rules:\n")
			for _, name := range order {
				if i == 1 && rapid.IntRange(0, 5).Draw(rt, "gone "+name) == 0 {
					continue
				}
				lock := ""
				if rapid.Bool().Draw(rt, "locked "+name) {
					lock = ", lock: {unlock_delay: 7d}"
				}
				mode := rapid.SampledFrom([]string{"governance", "compliance"}).Draw(rt, "mode "+name)
				match := rapid.SampledFrom([]string{"true", "size_bytes > 1", "size_bytes < 3"}).Draw(rt, "match "+name)
				fmt.Fprintf(&b, "  - {name: %s, match: '%s', retain: %dd, mode: %s%s}\n", name, match, rapid.IntRange(1, 9).Draw(rt, "days "+name), mode, lock)
			}
			b.WriteString("  - {name: last, match: 'false', retain: 1d}\ndefault: {retain: 1d}\n")
			texts[i] = b.String()
		}
		parse := func(text string) *policy.Set {
			s, err := policy.Parse("p", []policy.File{{Name: "p.yaml", Text: text}})
			if err != nil {
				rt.Fatal(err)
			}
			return s
		}
		was, is := parse(texts[0]), parse(texts[1])
		loosened := map[string]bool{}
		for _, l := range was.Loosened(is) {
			loosened[l.Rule] = true
		}
		for _, project := range []string{"p1", "p2"} {
			for size := range int64(5) {
				f := vm(func(d *quarantine.Deletion) { d.Project.ID = project })
				f.SizeBytes = size
				b, a := was.Decide(f), is.Decide(f)
				locked := strings.Contains(texts[0], "name: "+b.Rule+",") && strings.Contains(lineOf(texts[0], b.Rule), "lock:")
				if locked && !loosened[b.Rule] && (a.Retain < b.Retain && !strings.Contains(b.Reason, "override") || b.Mode == quarantine.Compliance && a.Mode != b.Mode) {
					rt.Fatalf("%s, which is locked, kept it for %s %s, and %s does for %s %s:\n%s\n%s", b.Rule, b.Retain, b.Mode, a.Rule, a.Retain, a.Mode, texts[0], texts[1])
				}
			}
		}
	})
}

func lineOf(text, rule string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, "name: "+rule+",") {
			return line
		}
	}
	return ""
}

// An override gives a locked rule's disks more, never less.
func TestOverridesDoNotLoosen(t *testing.T) {
	text := "overrides: [{project: physics, retain: %s}]\n" + fmt.Sprintf(lockedText, "30d")
	for over, want := range map[string]int{"3d": 30, "40d": 40} {
		s := load(t, fmt.Sprintf(text, over))
		if d := s.Decide(vm(nil)); d.Retain != time.Duration(want)*day || !strings.Contains(d.Reason, "override") {
			t.Errorf("%+v", d)
		}
	}
}
