package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"quarantine/internal/openstack"
	"quarantine/internal/quarantine"
)

// decodeAll decodes all recorded messages, in the order and mixture in which a
// real cloud sent them, again and again for at least that long. It is alone in
// the process then, so that the processor time is its own.
func decodeAll(dir string, atLeast time.Duration, now quarantine.Clock) (score, error) {
	bodies, err := recordings(dir)
	if err != nil {
		return score{}, err
	}
	var s score
	cpu, err := cpuTime()
	if err != nil {
		return s, err
	}
	for start := now(); s.took < atLeast; s.took = now().Sub(start) {
		for _, body := range bodies {
			if _, err := openstack.Decode(cloudName, body); err != nil {
				return s, fmt.Errorf("decode the recordings: %w", err)
			}
		}
		s.n += len(bodies)
	}
	after, err := cpuTime()
	s.cpu = after - cpu
	return s, err
}

// recordings returns the bodies of all recorded messages.
func recordings(dir string) ([][]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl.gz"))
	if err != nil {
		return nil, fmt.Errorf("look for recordings: %w", err)
	}
	var bodies [][]byte
	for _, f := range files {
		more, err := recording(f)
		if err != nil {
			return nil, fmt.Errorf("read the recording %s: %w", f, err)
		}
		bodies = append(bodies, more...)
	}
	if len(bodies) == 0 {
		return nil, fmt.Errorf("there are no recordings in %s (-recordings)", dir)
	}
	return bodies, nil
}

func recording(file string) (bodies [][]byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r struct {
			Body json.RawMessage `json:"body"`
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		bodies = append(bodies, r.Body)
	}
	return bodies, lines.Err()
}
