package catalogtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// Requests are read back as they were written, found by state, kind and subject
// with the newest first, and of several who change one at once one wins.
func requests(t *testing.T, s Store) {
	_, err := s.Request(background(), "none")
	is(t, "no request yet", err, quarantine.ErrNotFound)
	r := quarantine.Request{
		ID: "r0", Kind: quarantine.RequestShorten, Subject: "disk 'x'", Disk: "disk 'x'", Detail: map[string]string{"until": "2027-01-01T00:00:00Z"},
		Reason: "because é", RequestedBy: "ann", RequestedAt: t0, ExpiresAt: t0.Add(time.Hour), State: quarantine.RequestOpen,
	}
	for i := range 3 {
		next := r
		next.ID, next.RequestedAt = fmt.Sprint("r", i), t0.Add(time.Duration(i)*time.Minute)
		if i == 2 {
			next.Kind, next.State = quarantine.RequestPurgeEarly, quarantine.RequestDenied
		}
		saved, err := s.PutRequest(background(), next)
		if err != nil || saved.Version != 1 {
			t.Fatalf("put: %+v, %v", saved, err)
		}
		got, err := s.Request(background(), next.ID)
		if err != nil || got.Version != 1 {
			t.Fatalf("read: %+v, %v", got, err)
		}
		same(t, next.ID, got, next)
	}
	for _, c := range []struct {
		f    quarantine.RequestFilter
		want []string
	}{
		{quarantine.RequestFilter{}, []string{"r2", "r1", "r0"}},
		{quarantine.RequestFilter{Limit: 2}, []string{"r2", "r1"}},
		{quarantine.RequestFilter{States: []quarantine.RequestState{quarantine.RequestOpen, quarantine.RequestApproved}}, []string{"r1", "r0"}},
		{quarantine.RequestFilter{Kind: quarantine.RequestPurgeEarly}, []string{"r2"}},
		{quarantine.RequestFilter{Subject: "disk 'x'", Kind: quarantine.RequestShorten}, []string{"r1", "r0"}},
		{quarantine.RequestFilter{Subject: "y"}, []string{}},
	} {
		found, err := s.FindRequests(background(), c.f)
		got := []string{}
		for _, r := range found {
			got = append(got, r.ID)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%+v finds %v, %v; want %v", c.f, got, err, c.want)
		}
	}
	_, err = s.PutRequest(background(), r)
	is(t, "put as new again", err, quarantine.ErrConflict)
	_, err = s.PutRequest(background(), quarantine.Request{})
	is(t, "put without an id", err, quarantine.ErrInvalid)
	_, err = s.FindRequests(background(), quarantine.RequestFilter{Limit: -1})
	is(t, "a negative page", err, quarantine.ErrInvalid)

	r, err = s.Request(background(), "r0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for _, state := range []quarantine.RequestState{quarantine.RequestApproved, quarantine.RequestDenied, quarantine.RequestWithdrawn, quarantine.RequestExpired} {
		wg.Go(func() {
			mine := r
			mine.State = state
			if _, err := s.PutRequest(background(), mine); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d of four changes won", won)
	}
}
