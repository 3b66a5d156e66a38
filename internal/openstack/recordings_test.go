package openstack

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// cloudName is the configured name of the cloud in all tests.
const cloudName = "zed"

// recorded is one message of a recording, as the broker delivered it.
type recorded struct {
	File       string          `json:"file"`
	Exchange   string          `json:"exchange"`
	RoutingKey string          `json:"routing_key"`
	Body       json.RawMessage `json:"body"`
}

// versioned tells Nova's versioned format from the other one.
func (r recorded) versioned() bool { return strings.HasPrefix(r.RoutingKey, "versioned_") }

// recording reads one scenario.
func recording(t testing.TB, scenario string) []recorded {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "recordings", scenario+".jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", scenario, err)
	}
	var rs []recorded
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recorded
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v", scenario, err)
		}
		rs = append(rs, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", scenario, err)
	}
	return rs
}

// scenarios are the names of all recordings.
func scenarios(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "recordings", "*.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".jsonl.gz")
	}
	return files
}

// decodeAll decodes messages that must all be readable.
func decodeAll(t testing.TB, rs []recorded) []quarantine.Deletion {
	t.Helper()
	var ds []quarantine.Deletion
	for _, r := range rs {
		got, err := Decode(cloudName, r.Body)
		if err != nil {
			t.Fatalf("%s: %v", r.File, err)
		}
		ds = append(ds, got...)
	}
	return ds
}

// merged joins reports by id, as the catalog does, in the order of the acts.
func merged(ds []quarantine.Deletion) []quarantine.Deletion {
	byID := map[string]quarantine.Deletion{}
	for _, d := range ds {
		d = d.Normalize()
		if known, ok := byID[d.ID]; ok {
			d = quarantine.Merge(known, d)
		}
		byID[d.ID] = d
	}
	var out []quarantine.Deletion
	for _, d := range byID {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b quarantine.Deletion) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	return out
}
