package rabbitlab_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// recorded is one message of a recording (see internal/openstack/testdata).
type recorded struct {
	Exchange   string          `json:"exchange"`
	RoutingKey string          `json:"routing_key"`
	Body       json.RawMessage `json:"body"`
}

// recordings reads scenarios, all of them if none is named.
func recordings(t testing.TB, scenarios ...string) []recorded {
	t.Helper()
	dir := filepath.Join("..", "..", "internal", "openstack", "testdata", "recordings")
	if len(scenarios) == 0 {
		scenarios = []string{"*"}
	}
	var rs []recorded
	for _, scenario := range scenarios {
		files, err := filepath.Glob(filepath.Join(dir, scenario+".jsonl.gz"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no recording %s: %v", scenario, err)
		}
		for _, file := range files {
			rs = append(rs, readRecording(t, file)...)
		}
	}
	return rs
}

func readRecording(t testing.TB, file string) []recorded {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var rs []recorded
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recorded
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		rs = append(rs, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return rs
}
