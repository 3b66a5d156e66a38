package generic_test

import (
	"errors"
	"testing"

	"quarantine/internal/generic"
	"quarantine/internal/quarantine"
)

// No body makes Decode panic; what it accepts is fit to be recorded, in its
// normal form and the same for a second delivery; what it refuses wraps
// ErrInvalid and is short.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(example(f)))
	f.Add([]byte(`{"resource_id":"v","disks":[{"name":"x"}]}`))
	f.Add([]byte(`{"deletions":[{"kind":"rebuild","request_id":"r","resource_id":"v","addresses":["::1",{"mac":"02:00:00:00:00:01"}],"user":{"id":"1"},"disks":[{"pool":"p","name":"x","prefix":true}]}]}`))
	f.Add([]byte(`{"deletions":[{"resource_id":"v","metadata":{"a":"b"},"tags":["t"],"started_at":"2026-03-02T10:11:12.123456789+02:00","disks":[{"name":"x","required":true}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := generic.Decode(cloud, b)
		if err != nil {
			if got != nil || !errors.Is(err, quarantine.ErrInvalid) || len(err.Error()) > 2000 {
				t.Fatalf("got %v, %v", got, err)
			}
			return
		}
		if len(got) == 0 {
			t.Fatal("accepted, but nothing reported")
		}
		again, err := generic.Decode(cloud, b)
		if err != nil || len(again) != len(got) {
			t.Fatalf("a second delivery: %v, %v", again, err)
		}
		for i, d := range got {
			if err := d.Validate(); err != nil {
				t.Fatal(err)
			}
			if !d.Equal(d.Normalize()) || !d.Equal(again[i]) || !quarantine.Merge(d, again[i]).Equal(d) {
				t.Fatalf("%+v is not in its normal form", d)
			}
		}
	})
}
