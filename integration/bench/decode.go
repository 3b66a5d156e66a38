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
func decodeAll(messages []notification, atLeast time.Duration, now quarantine.Clock) (score, error) {
	var s score
	cpu, err := cpuTime()
	if err != nil {
		return s, err
	}
	for start := now(); s.took < atLeast; s.took = now().Sub(start) {
		for _, m := range messages {
			if _, err := openstack.Decode(cloudName, m.Body); err != nil {
				return s, fmt.Errorf("decode the recordings: %w", err)
			}
		}
		s.n += len(messages)
	}
	after, err := cpuTime()
	s.cpu = after - cpu
	return s, err
}

// notification is a recorded message.
type notification struct {
	RoutingKey string          `json:"routing_key"`
	Body       json.RawMessage `json:"body"`
	deletes    bool            // it reports a deletion
}

// recordings returns all recorded messages.
func recordings(dir string) ([]notification, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl.gz"))
	if err != nil {
		return nil, fmt.Errorf("look for recordings: %w", err)
	}
	var messages []notification
	for _, f := range files {
		more, err := recording(f)
		if err != nil {
			return nil, fmt.Errorf("read the recording %s: %w", f, err)
		}
		messages = append(messages, more...)
	}
	if len(messages) == 0 {
		return nil, fmt.Errorf("there are no recordings in %s (-recordings)", dir)
	}
	return messages, nil
}

func recording(file string) (messages []notification, err error) {
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
		var m notification
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return nil, err
		}
		ds, err := openstack.Decode(cloudName, m.Body)
		if err != nil {
			return nil, err
		}
		m.deletes = len(ds) > 0
		messages = append(messages, m)
	}
	return messages, lines.Err()
}
