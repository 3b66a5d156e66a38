package quarantine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// unrecorded are the fields of a disk that may change without its record being
// written again: what was measured, and what Ceph itself tells.
var unrecorded = []string{"used_bytes", "parent", "sealed", "seal_id", "data_pool", "protected_until"}

// lookAtRecord: the record says what the row says, unless that is known to be
// newer.
func lookAtRecord(d *Disk, record []byte) []CheckFinding {
	next := "quarantinectl catalog rebuild takes the longer promise of both; " + fmt.Sprintf(nextLook, d.ID)
	on, err := DecodeRecord(d.Key, record)
	if err != nil {
		return []CheckFinding{CheckRecord.of(d.Key, "its record cannot be read: "+err.Error(), next)}
	}
	if d.RecordStale {
		return nil
	}
	differ, err := differing(*d, on)
	switch {
	case err != nil:
		return []CheckFinding{CheckRecord.of(d.Key, err.Error(), next)}
	case len(differ) > 0:
		return []CheckFinding{CheckRecord.of(d.Key, "row and record differ in "+strings.Join(differ, ", "), next)}
	}
	return nil
}

// differing names the fields in which the two differ.
func differing(a, b Disk) ([]string, error) {
	var fields [2]map[string]json.RawMessage
	for i, d := range []Disk{a, b} {
		text, err := json.Marshal(d)
		if err == nil {
			err = json.Unmarshal(text, &fields[i])
		}
		if err != nil {
			return nil, fmt.Errorf("compare row and record: %w", err)
		}
	}
	var names []string
	for name := range fields[0] {
		if _, ok := fields[1][name]; !ok {
			fields[1][name] = nil
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields[1])) {
		if !slices.Contains(unrecorded, name) && !bytes.Equal(fields[0][name], fields[1][name]) {
			names = append(names, name)
		}
	}
	return names, nil
}

// lookAtPromises: the row promises no less than the custody log, which who can
// write to the catalog or to the image cannot change.
func (r *checkRun) lookAtPromises(ctx context.Context, d Disk) []CheckFinding {
	entries, err := r.ledger.promises(ctx, d.ID)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		f := CheckLog.of(Key{}, "the custody log cannot be read, and what it promised is not known: "+err.Error(), "quarantinectl custody verify")
		f.Disk = ""
		return []CheckFinding{f}
	}
	want := d
	replay(entries).keep(&want)
	var less []string
	if want.RetainUntil.After(d.RetainUntil) && !cutShort(entries, actShorten) {
		less = append(less, fmt.Sprintf("it is kept until %s, and was promised %s", d.RetainUntil.UTC().Format(time.RFC3339), want.RetainUntil.Format(time.RFC3339)))
	}
	if want.Decision.Mode != d.Decision.Mode {
		less = append(less, "it was promised compliance")
	}
	if minUntil(&want).After(minUntil(&d)) {
		less = append(less, fmt.Sprintf("no early purge was promised until %s", minUntil(&want).UTC().Format(time.RFC3339)))
	}
	for _, h := range want.OpenHolds() {
		if openHold(d.Holds, h.CaseID) < 0 && !cutShort(entries, "release") {
			less = append(less, "the hold of case "+h.CaseID+" is missing")
		}
	}
	if len(less) == 0 {
		return nil
	}
	return []CheckFinding{CheckPromise.of(d.Key, "the catalog promises less than the custody log: "+strings.Join(less, "; "), "quarantinectl catalog rebuild takes the longer promise over")}
}

// cutShort reports whether the last that the log has of an act is its intent: a
// crash left it open whether it was done.
func cutShort(entries []Entry, act string) bool {
	for _, e := range slices.Backward(entries) {
		if e.Act == act {
			return e.Outcome == OutcomeIntent
		}
	}
	return false
}
