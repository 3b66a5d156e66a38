package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"github.com/goccy/go-yaml"

	"quarantine/internal/quarantine"
)

// MaxRetain is the longest retention a rule may give. It is half of the
// guard's protection time of ten years: a disk never becomes removable by
// waiting.
const MaxRetain = 5 * 365 * 24 * time.Hour

// DefaultRule is the name under which the default's decisions are recorded.
const DefaultRule = "default"

// Set is a policy that loaded: rules in order, the default, and what changes what
// they give.
type Set struct {
	rules     []rule
	def       rule
	overrides []override
	bounds    bounds
	// digest identifies all files together.
	digest string
}

// File is a policy file that was read.
type File struct {
	// Name is the file's base name; rules are told apart by it.
	Name string `json:"name"`
	Text string `json:"text"`
}

// Load reads a policy file, or all *.yaml files of a directory in the order of
// their names. The error names each mistake with its file and place, and wraps
// quarantine.ErrInvalid, or ErrUnavailable if a file cannot be read.
func Load(path string) (*Set, error) {
	files, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, files)
}

// Read reads the files of a policy, as Load does, and does not look into them.
func Read(path string) ([]File, error) {
	paths, err := policyFiles(path)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, f := range paths {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("read policy %s: %w: %w", f, quarantine.ErrUnavailable, err)
		}
		files = append(files, File{filepath.Base(f), string(b)})
	}
	return files, nil
}

// Parse makes a policy of its files, in their order. where is named where none of
// them has a default. The error is as Load's.
func Parse(where string, files []File) (*Set, error) {
	env, err := newEnv()
	if err != nil {
		return nil, err
	}
	s := &Set{}
	all := sha256.New()
	names := map[string]string{}
	var mistakes []error
	for _, f := range files {
		fmt.Fprintf(all, "%s\x00%d\x00%s", f.Name, len(f.Text), f.Text)
		if err := s.add(env, f.Name, []byte(f.Text), names); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	if len(mistakes) == 0 && s.def.name == "" {
		mistakes = append(mistakes, fmt.Errorf("%s: there is no default: add `default: {retain: 14d}`", where))
	}
	if len(mistakes) > 0 {
		return nil, fmt.Errorf("%w policy: %w", quarantine.ErrInvalid, errors.Join(mistakes...))
	}
	s.digest = hex.EncodeToString(all.Sum(nil))
	return s, nil
}

// Check loads the policy and returns its mistakes; for `policy check`.
func Check(path string) error {
	_, err := Load(path)
	return err
}

func policyFiles(path string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w: %w", quarantine.ErrUnavailable, err)
	}
	if !st.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w: %w", quarantine.ErrUnavailable, err)
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".yaml") {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read policies: %w: %s has no *.yaml file", quarantine.ErrInvalid, path)
	}
	sort.Strings(files)
	return files, nil
}

// add appends the rules of one file. names holds the rule names so far, with
// their files.
func (s *Set) add(env *cel.Env, base string, b []byte, names map[string]string) error {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict(), yaml.DisallowUnknownField())
	switch err := dec.Decode(&f); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: there is nothing in it; take it away, or give it rules", base)
	case err != nil:
		return fmt.Errorf("%s: %s", base, yaml.FormatError(err, false, true))
	}
	var second any
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		// It would be left out, and its rules with it.
		return fmt.Errorf("%s: it has more than one YAML document: what comes after --- or ... belongs in a file of its own", base)
	}
	sum := sha256.Sum256(b)
	hash := hex.EncodeToString(sum[:])
	var mistakes []error
	if f.Bounds != nil {
		b, err := f.Bounds.parse(base)
		switch {
		case err != nil:
			mistakes = append(mistakes, fmt.Errorf("%s: bounds: %w", base, err))
		case s.bounds.file != "":
			mistakes = append(mistakes, fmt.Errorf("%s: bounds: %s has them already", base, s.bounds.file))
		default:
			s.bounds = b
		}
	}
	for i, spec := range f.Overrides {
		o, err := spec.parse(base)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: override %d: %w", base, i+1, err))
		}
		s.overrides = append(s.overrides, o)
	}
	for i, spec := range f.Rules {
		where := fmt.Sprintf("%s: rule %d", base, i+1)
		if spec.Name != "" {
			where += fmt.Sprintf(" (%s)", spec.Name)
		}
		r, err := compile(env, spec, base, hash)
		switch {
		case err != nil:
			mistakes = append(mistakes, fmt.Errorf("%s: %w", where, err))
		case spec.Name == "" || spec.Name == DefaultRule:
			mistakes = append(mistakes, fmt.Errorf("%s: it needs a name of its own", where))
		case names[spec.Name] != "":
			mistakes = append(mistakes, fmt.Errorf("%s: %s has a rule of that name already", where, names[spec.Name]))
		case r.program == nil:
			mistakes = append(mistakes, fmt.Errorf("%s: match is missing (or kinds, tags, metadata, unless, when); what applies to everything is the default", where))
		default:
			names[spec.Name] = base
			s.rules = append(s.rules, r)
		}
	}
	if f.Default != nil {
		r, err := compile(env, *f.Default, base, hash)
		switch {
		case err != nil:
			mistakes = append(mistakes, fmt.Errorf("%s: default: %w", base, err))
		case r.program != nil || f.Default.Name != "":
			mistakes = append(mistakes, fmt.Errorf("%s: default: it takes no match and no name", base))
		case s.def.name != "":
			mistakes = append(mistakes, fmt.Errorf("%s: default: %s has the default already", base, s.def.file))
		default:
			r.name = DefaultRule
			s.def = r
		}
	}
	return errors.Join(mistakes...)
}
