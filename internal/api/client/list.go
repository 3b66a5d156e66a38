package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// MaxPage is the largest page of disks that the daemon gives.
const MaxPage = 1000

// Query selects and sorts disks. Zero fields select all.
type Query struct {
	States  []quarantine.State
	Pool    string // pool or pool/namespace
	Cloud   string
	Project string // name or id
	User    string // owner or deleter, name or id
	VM      string // name or id
	Address string // IP or MAC
	CaseID  string // of an open hold
	// Name is an image's exact name, NamePrefix its beginning up to one of
	// "_.-@" or its end.
	Name, NamePrefix string
	Held             *bool
	// Unexplained selects the disks that no event says anything about.
	Unexplained bool
	// From is inclusive and To exclusive: when the disk was deleted.
	From, To time.Time
	// Sort is a field (quarantine.DiskFilter lists them), "" is deleted_at.
	Sort string
	Desc bool
}

func (q Query) values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	states := make([]string, len(q.States))
	for i, s := range q.States {
		states[i] = string(s)
	}
	set("state", strings.Join(states, ","))
	set("pool", q.Pool)
	set("cloud", q.Cloud)
	set("project", q.Project)
	set("user", q.User)
	set("vm", q.VM)
	set("address", q.Address)
	set("case", q.CaseID)
	set("name", q.Name)
	set("name_prefix", q.NamePrefix)
	set("sort", q.Sort)
	if q.Held != nil {
		set("held", strconv.FormatBool(*q.Held))
	}
	if q.Unexplained {
		set("unexplained", "true")
	}
	if q.Desc {
		set("desc", "true")
	}
	for name, t := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !t.IsZero() {
			set(name, t.UTC().Format(time.RFC3339))
		}
	}
	return v
}

// DiskPage returns one page of the disks that the query selects. A limit of
// zero is the daemon's own, which is 100.
func (c *Client) DiskPage(ctx context.Context, q Query, limit, offset int) (wire.DiskPage, error) {
	v := q.values()
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	if offset > 0 {
		v.Set("offset", strconv.Itoa(offset))
	}
	return answer[wire.DiskPage](ctx, c, call{method: http.MethodGet, path: "/v1/disks", query: v})
}

// Disks iterates over all disks that the query selects, page by page. After an
// error the iteration ends. Disks that come or go meanwhile may be missing;
// none is given twice.
func (c *Client) Disks(ctx context.Context, q Query) iter.Seq2[wire.Disk, error] {
	return func(yield func(wire.Disk, error) bool) {
		seen := map[string]bool{}
		for offset := 0; ; {
			page, err := c.DiskPage(ctx, q, MaxPage, offset)
			if err != nil {
				yield(wire.Disk{}, err)
				return
			}
			for _, d := range page.Disks {
				if seen[d.ID] {
					continue
				}
				seen[d.ID] = true
				if !yield(d, nil) {
					return
				}
			}
			offset += len(page.Disks)
			if len(page.Disks) == 0 || int64(offset) >= page.Total && !page.AtLeast {
				return
			}
		}
	}
}
