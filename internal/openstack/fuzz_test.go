package openstack

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"quarantine/internal/quarantine"
)

// canary stands for a caller's token. It is looked for in all that Decode
// gives.
const canary = "gAAAAAtoken-that-nobody-may-see"

// FuzzDecode proves for any message: no panic; an error wraps ErrInvalid and
// comes alone; what is returned can be recorded, written as JSON and merged
// with itself; and the caller's token is in none of it.
func FuzzDecode(f *testing.F) {
	for _, scenario := range scenarios(f) {
		seen := map[string]bool{}
		for _, r := range recording(f, scenario) {
			inner, err := unwrap(r.Body)
			if err != nil {
				f.Fatal(err)
			}
			event, err := eventType(inner)
			if err != nil {
				f.Fatal(err)
			}
			if _, ok := actOf([]byte(event)); ok && !seen[event] {
				seen[event] = true
				f.Add([]byte(r.Body))
				f.Add(inner)
			}
		}
	}
	f.Add([]byte(`{"event_type":"instance.delete.start"}`))
	f.Add([]byte(`{"oslo.message":"\u0000"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		check(t, body)
		check(t, withToken(body))
	})
}

func check(t *testing.T, body []byte) {
	ds, err := Decode(cloudName, body)
	if err != nil {
		if !errors.Is(err, quarantine.ErrInvalid) {
			t.Fatalf("the error does not wrap ErrInvalid: %v", err)
		}
		if ds != nil {
			t.Fatalf("deletions beside the error %v", err)
		}
		if strings.Contains(err.Error(), canary) {
			t.Fatalf("the token is in the error %v", err)
		}
		return
	}
	for _, d := range ds {
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatalf("write %+v: %v", d, err)
		}
		if strings.Contains(string(text), canary) {
			t.Fatalf("the token is in the deletion %s", text)
		}
		if strings.Contains(string(text), `\u0000`) {
			t.Fatalf("NUL is in the deletion %s", text)
		}
		if !quarantine.Merge(d, d).Equal(d) {
			t.Fatalf("merged with itself it is another: %s", text)
		}
	}
}

// withToken puts the token where the services put it, if the message is an
// object at all, else at its end.
func withToken(body []byte) []byte {
	inner, err := unwrap(body)
	if err != nil {
		inner = body
	}
	var m map[string]any
	if json.Unmarshal(inner, &m) != nil || m == nil {
		return append([]byte(canary), body...)
	}
	m["_context_auth_token"] = canary
	m["_context_service_catalog"] = []any{canary}
	if p, ok := m["payload"].(map[string]any); ok {
		p["auth_token"] = canary
	}
	out, err := json.Marshal(m)
	if err != nil {
		return body
	}
	return out
}

// sameWay proves that the short way into a message leads where encoding/json
// does.
func sameWay(t *testing.T, body []byte) {
	d := decoder{cloud: cloudName}
	inner, event, err := d.open(body, peek(body).envelope)
	want, werr := unwrap(body)
	var wantEvent string
	if werr == nil {
		wantEvent, werr = eventType(want)
	}
	if (err == nil) != (werr == nil) || event != wantEvent {
		t.Fatalf("event %q, %v; want %q, %v: %q", event, err, wantEvent, werr, body)
	}
	if err == nil && utf8.Valid(inner) && !bytes.Equal(inner, want) {
		t.Fatalf("inner message %q, want %q", inner, want)
	}
}

// FuzzIgnorable proves for any message, with any inner message in an envelope
// too: what is ignored unread reports no deletion when it is read in full, and
// unless it is an update it is not even broken as far as its event type.
func FuzzIgnorable(f *testing.F) {
	for _, scenario := range scenarios(f) {
		for _, r := range recording(f, scenario)[:3] {
			f.Add([]byte(r.Body))
		}
	}
	f.Add([]byte(`{"event_type": "instance.update", "payload": {"new_task_state": "deleting"}}`))
	f.Add([]byte(`{"event_typ\u0065": "instance.delete.start", "event_type": "flavor.create"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		quoted, err := json.Marshal(string(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{body, []byte(`{"oslo.message":` + string(quoted) + `}`), []byte(`{"oslo.message":"` + string(body) + `"}`)} {
			sameWay(t, b)
			if !ignorable(b) {
				continue
			}
			ds, err := decodeWhole(b)
			if len(ds) > 0 {
				t.Fatalf("ignored, and reports %+v: %q", ds, b)
			}
			if err != nil && !bytes.Contains(b, []byte("instance.update")) {
				t.Fatalf("ignored, and %v: %q", err, b)
			}
		}
	})
}
