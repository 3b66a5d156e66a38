package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"

	"quarantine/internal/quarantine"
)

// page is one answer of a listing. Nova and Cinder put the address of the next
// page into <what>_links, Glance into next; here it only matters whether there
// is one, because the addresses are wrong behind some proxies.
type page[T any] struct {
	items []T
	more  bool
}

// identified is a resource with an id, by which the next page is asked for.
type identified interface{ ident() string }

// list calls each for every resource of a listing, page by page. Only one page
// is in memory.
//
// The pages are asked for with the id of the last resource seen. Cinder and
// Glance answer 404 or 400 if that was deleted meanwhile; then the one before
// it is taken, and what was seen already is left out.
func list[T identified](ctx context.Context, s *session, service, path, what string, query url.Values, each func(T) error) error {
	query = maps.Clone(query)
	query.Set("limit", strconv.Itoa(s.api.cfg.PageSize))
	var last []string // ids of the page before
	for {
		p, err := getPage[T](ctx, s, service, path, what, query)
		for i := len(last) - 2; i >= 0 && (errors.Is(err, quarantine.ErrNotFound) || errors.Is(err, quarantine.ErrInvalid)); i-- {
			query.Set("marker", last[i])
			p, err = getPage[T](ctx, s, service, path, what, query)
		}
		if err != nil {
			if len(last) > 0 && !errors.Is(err, quarantine.ErrUnavailable) {
				err = fmt.Errorf("%w: a listing broke off: %s", quarantine.ErrUnavailable, err)
			}
			return err
		}
		seen := map[string]bool{}
		for _, id := range last {
			seen[id] = true
		}
		last = last[:0]
		fresh := false
		for _, item := range p.items {
			id := item.ident()
			if id == "" {
				return fmt.Errorf("cloud %s: %s: list %s: %w: one has no id", s.api.cfg.Cloud, service, what, quarantine.ErrUnavailable)
			}
			last = append(last, id)
			if seen[id] {
				continue
			}
			fresh = true
			if err := each(item); err != nil {
				return err
			}
		}
		if !p.more || len(p.items) == 0 {
			return nil
		}
		if !fresh {
			return fmt.Errorf("cloud %s: %s: list %s: %w: the pages repeat themselves", s.api.cfg.Cloud, service, what, quarantine.ErrUnavailable)
		}
		query.Set("marker", last[len(last)-1])
	}
}

func getPage[T any](ctx context.Context, s *session, service, path, what string, query url.Values) (page[T], error) {
	var answer map[string]json.RawMessage
	var p page[T]
	if err := s.get(ctx, service, path, query, &answer); err != nil {
		return p, err
	}
	items, ok := answer[what]
	if !ok || json.Unmarshal(items, &p.items) != nil {
		return p, fmt.Errorf("cloud %s: %s: list %s: %w: the answer is none", s.api.cfg.Cloud, service, what, quarantine.ErrUnavailable)
	}
	var next text
	var links []struct {
		Rel text `json:"rel"`
	}
	if raw, ok := answer["next"]; ok && json.Unmarshal(raw, &next) == nil && next != "" {
		p.more = true
	}
	if raw, ok := answer[what+"_links"]; ok && json.Unmarshal(raw, &links) == nil {
		for _, l := range links {
			p.more = p.more || l.Rel == "next"
		}
	}
	return p, nil
}
