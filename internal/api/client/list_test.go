package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// All fields of a query travel, and none of an empty one.
func TestQuery(t *testing.T) {
	t.Parallel()
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.RawQuery
		answer(http.StatusOK, "application/json", `{"disks":[]}`)(w, r)
	})
	held := false
	q := client.Query{
		States: []quarantine.State{quarantine.Quarantined, quarantine.Lost}, Pool: "vms/ns", Cloud: "c", Project: "p p", User: "u", VM: "v",
		Address: "fa:16:3e:00:00:01", CaseID: "C&1", Name: "n", NamePrefix: "np", Held: &held, Unexplained: true, Sort: "user", Desc: true,
		From: time.Date(2026, 11, 17, 1, 0, 0, 0, time.FixedZone("", 3600)), To: time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC),
	}
	if _, err := c.DiskPage(t.Context(), q, 7, 14); err != nil {
		t.Fatal(err)
	}
	const want = "address=fa%3A16%3A3e%3A00%3A00%3A01&case=C%261&cloud=c&desc=true&from=2026-11-17T00%3A00%3A00Z&held=false&limit=7" +
		"&name=n&name_prefix=np&offset=14&pool=vms%2Fns&project=p+p&sort=user&state=quarantined%2Clost&to=2026-11-18T00%3A00%3A00Z&unexplained=true&user=u&vm=v"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := c.DiskPage(t.Context(), client.Query{}, 0, 0); err != nil || got != "" {
		t.Errorf("an empty query is %q, %v", got, err)
	}
}

// pages serves n disks in pages of at most size.
func pages(t *testing.T, n, size int, extra func(w http.ResponseWriter, offset int) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		if extra != nil && extra(w, offset) {
			return
		}
		page := wire.DiskPage{Disks: []wire.Disk{}, Total: int64(n)}
		for i := offset; i < min(n, offset+size); i++ {
			page.Disks = append(page.Disks, wire.Disk{ID: fmt.Sprint(i)})
		}
		answer(http.StatusOK, "application/json", encode(t, page))(w, r)
	}
}

// A list goes over all pages in order, whatever their size, and asks no more
// than it must.
func TestDisksOverPages(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 3, 4, 7} {
		asked := 0
		c := serve(t, pages(t, n, 3, func(http.ResponseWriter, int) bool { asked++; return false }))
		var got, want []string
		for i := range n {
			want = append(want, fmt.Sprint(i))
		}
		for d, err := range c.Disks(t.Context(), client.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, d.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("of %d disks: %v", n, got)
		}
		if most := max(1, (n+2)/3); asked != most {
			t.Errorf("%d disks took %d requests, want %d", n, asked, most)
		}
	}
}

// A disk that moved to a later page meanwhile is given once; a total that
// never comes true does not make it go on for ever; and a loop that stops asks
// no more.
func TestDisksWhileTheyChange(t *testing.T) {
	t.Parallel()
	asked := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		page := wire.DiskPage{Disks: []wire.Disk{{ID: "a"}, {ID: "b"}}, Total: 99}
		switch asked {
		case 2:
			page.Disks = []wire.Disk{{ID: "b"}, {ID: "c"}}
		case 3:
			page.Disks = nil
		}
		answer(http.StatusOK, "application/json", encode(t, page))(w, r)
	})
	var got []string
	for d, err := range c.Disks(t.Context(), client.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d.ID)
	}
	if !slices.Equal(got, []string{"a", "b", "c"}) || asked != 3 {
		t.Errorf("got %v with %d requests", got, asked)
	}
	asked = 0
	for range c.Disks(t.Context(), client.Query{}) {
		break
	}
	if asked != 1 {
		t.Errorf("a loop that stopped took %d requests", asked)
	}
}

// An error on a later page is the last thing that is given.
func TestDisksEndWithAnError(t *testing.T) {
	t.Parallel()
	c := serve(t, pages(t, 9, 3, func(w http.ResponseWriter, offset int) bool {
		if offset == 3 {
			answer(http.StatusServiceUnavailable, "application/problem+json", `{"detail":"catalog: busy","code":"unavailable"}`)(w, nil)
		}
		return offset == 3
	}))
	n := 0
	var last error
	for _, err := range c.Disks(t.Context(), client.Query{}) {
		if last != nil {
			t.Fatalf("after the error came another: %v", err)
		}
		if last = err; err == nil {
			n++
		}
	}
	if n != 3 || !errors.Is(last, quarantine.ErrUnavailable) {
		t.Errorf("%d disks, then %v", n, last)
	}
}
