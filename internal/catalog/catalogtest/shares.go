package catalogtest

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// class says what becomes of a disk when its pool is too full, in the plainest way;
// "" of one that takes no room there.
func class(q quarantine.ShareQuery, d quarantine.Disk) string {
	due := !d.RetainUntil.IsZero() && !d.RetainUntil.After(q.Now)
	firm := firm(d, q.Now)
	switch {
	case d.Key.FSID != q.FSID || d.Key.Pool != q.Pool || !d.State.InQuarantine():
		return ""
	case d.State == quarantine.Expiring, d.State == quarantine.Purging, d.State == quarantine.Quarantined && !d.Held() && due:
		return "going"
	case d.Held():
		return "held"
	case d.Decision.Mode == quarantine.Compliance:
		return "compliance"
	case firm, d.DeletedAt.After(q.Born), d.QuarantinedAt.After(q.Born):
		return "young"
	case d.State != quarantine.Quarantined:
		return "busy"
	}
	return "evictable"
}

// firm: the decision's least time, which counts from the later of death and
// capture, is not over.
func firm(d quarantine.Disk, now time.Time) bool {
	from := d.DeletedAt
	if d.Decision.Min > 0 && d.QuarantinedAt.After(from) {
		from = d.QuarantinedAt
	}
	return from.Add(d.Decision.Min).Truncate(time.Second).After(now)
}

// The sums, the disks that may go and those that go already are those of a model,
// page by page, whatever the disks are.
func sharesModel(t *testing.T, s Store) {
	var all []quarantine.Disk
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 12).Draw(t, "disks") {
			d := anyDisk(t, fmt.Sprint("d", len(all)))
			d.Key.FSID = word(t, "fsid", "f", "g")
			d.UsedBytes = rapid.Int64Range(-1, 9).Draw(t, "used")
			d.Decision.Mode = rapid.SampledFrom([]quarantine.RetentionMode{"", quarantine.Governance, quarantine.Compliance}).Draw(t, "mode")
			d.Decision.Min = time.Duration(rapid.IntRange(0, 3).Draw(t, "min")) * time.Second
			d.EarlyBy = word(t, "early", "", "ann", quarantine.EarlyByCapacity)
			all = append(all, put(t, s, d))
		}
		q := quarantine.ShareQuery{FSID: "f", Pool: word(t, "of pool", "vms", "volumes"), Now: t0.Add(3 * time.Second), Born: t0.Add(2 * time.Second)}
		slices.SortFunc(all, func(a, b quarantine.Disk) int {
			return cmp.Or(a.DeletedAt.Compare(b.DeletedAt), cmp.Compare(a.ID, b.ID))
		})
		shares := map[string]*quarantine.Share{}
		free := map[string][]quarantine.Candidate{}
		evicted := []quarantine.Candidate{}
		for _, d := range all {
			what := class(q, d)
			if what == "" {
				continue
			}
			name := quarantine.ShareOf(&d)
			share := shares[name]
			if share == nil {
				share = &quarantine.Share{Project: name}
				shares[name] = share
			}
			share.Disks++
			*map[string]*int64{"going": &share.Going, "held": &share.Held, "compliance": &share.Compliance, "young": &share.Young,
				"busy": &share.Busy, "evictable": &share.Evictable}[what] += max(0, d.UsedBytes)
			if what != "going" && d.UsedBytes < 0 {
				share.Unmeasured += d.SizeBytes
			}
			c := quarantine.Candidate{ID: d.ID, Project: name, DeletedAt: d.DeletedAt, UsedBytes: d.UsedBytes}
			if what == "evictable" && d.UsedBytes > 0 {
				free[name] = append(free[name], c)
			}
			if d.State == quarantine.Expiring && d.EarlyBy == quarantine.EarlyByCapacity && (d.RetainUntil.IsZero() || d.RetainUntil.After(q.Now)) {
				c.Firm = d.Decision.Mode == quarantine.Compliance || firm(d, q.Now)
				evicted = append(evicted, c)
			}
		}
		want := []quarantine.Share{}
		for _, share := range shares {
			want = append(want, *share)
		}
		slices.SortFunc(want, func(a, b quarantine.Share) int { return cmp.Compare(a.Project, b.Project) })
		got, err := s.PoolShares(background(), q)
		if err != nil {
			t.Fatalf("shares: %v", err)
		}
		same(t, "shares", append([]quarantine.Share{}, got...), want)
		gone, err := s.Evicted(background(), q)
		if err != nil {
			t.Fatalf("evicted: %v", err)
		}
		same(t, "evicted", append([]quarantine.Candidate{}, gone...), evicted)
		due := make([]int64, 3)
		for _, d := range all {
			left := d.RetainUntil.Sub(q.Now)
			if what := class(q, d); what == "" || what == "going" || d.Held() || d.State != quarantine.Quarantined && d.State != quarantine.Pending || left <= 0 || left >= 3*time.Second/2 {
				continue
			}
			due[left/(time.Second/2)] += max(0, d.UsedBytes)
		}
		gotDue, err := s.DueBytes(background(), q, time.Second/2, 3)
		if err != nil {
			t.Fatalf("due: %v", err)
		}
		same(t, "due", gotDue, due)
		limit := rapid.IntRange(1, 3).Draw(t, "limit")
		for name := range shares {
			var pages []quarantine.Candidate
			for after := (quarantine.Candidate{}); ; after = pages[len(pages)-1] {
				page, err := s.Evictable(background(), q, name, after, limit)
				if err != nil || len(page) > limit {
					t.Fatalf("evictable: %d disks, %v", len(page), err)
				}
				if len(page) == 0 {
					break
				}
				pages = append(pages, page...)
			}
			same(t, "evictable of "+name, pages, free[name])
		}
	})
	_, err := s.Evictable(background(), quarantine.ShareQuery{}, "", quarantine.Candidate{}, 0)
	is(t, "a page of nothing", err, quarantine.ErrInvalid)
}
