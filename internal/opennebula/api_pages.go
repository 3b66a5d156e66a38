package opennebula

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"quarantine/internal/quarantine"
)

// listing is a pool that is read page by page.
type listing struct {
	method string
	// short is a method that gives the same resources in fewer bytes, for those
	// whose answer is too long otherwise; empty: there is none.
	short string
	// path are the names of the answer's root and of what it holds.
	path [2]string
	// filter are the arguments after the page.
	filter []any
}

// allUsers is the filter for the resources of all users.
const allUsers = -2

const (
	// maxIdle is how many pages may tell nothing new before a listing is given
	// up, and maxSame how many full ones that are the same.
	maxIdle = 100
	maxSame = 3
)

// numbered is a resource with an id.
type numbered[T any] interface {
	*T
	number() (int, error)
}

func (o *ownerXML) number() (int, error) { return number(o.ID) }

// list calls each for every resource of a pool that is there from beginning to
// end. Only one page is in memory.
//
// The front-end lists by id, up or down as the site likes (API_LIST_ORDER), and
// counts a page's place from the beginning of the list. What comes or goes
// meanwhile moves all that is after it, so each page must begin with something
// that was seen before: then nothing between the two was left out. If it does
// not, it is asked for again from further ahead. That a listing has come to its
// end is shown by a page that ends with the last resource seen.
//
// Errors wrap ErrUnavailable where the listing cannot be trusted. An error of
// each ends it, and is returned as it is.
func list[T any, P numbered[T]](ctx context.Context, a *API, l listing, each func(P) error) error {
	var seen cursor
	var before []int // the ids of the page before
	largest := max(a.cfg.PageSize, 2)
	size, offset, back, same := largest, 0, largest, 0
	for idle := 0; idle < maxIdle; idle++ {
		page, err := getPage[T, P](ctx, a, l, offset, size)
		if errors.Is(err, errTooLong) && size > 2 {
			size = max(size/2, 2)
			continue
		}
		if err != nil {
			return err
		}
		ids := page.ids
		if err := seen.follow(ids, size); err != nil {
			return fmt.Errorf("%s: %w", l.method, err)
		}
		known := seen.known(ids)
		if offset > 0 && known == 0 {
			// What was before this page has gone, and with it this page has moved.
			offset, back = max(0, offset-back), 2*back
			continue
		}
		for _, v := range page.found[known:] {
			if err := each(v); err != nil {
				return err
			}
		}
		switch {
		case known < len(ids):
			seen.last, seen.any = ids[len(ids)-1], true
			idle, back, same = 0, largest, 0
		case len(ids) < size:
			return nil
		case !slices.Equal(ids, before):
			same = 0
		case same == maxSame:
			return fmt.Errorf("%s: %w: the pages repeat themselves", l.method, quarantine.ErrUnavailable)
		}
		same++
		offset += max(len(ids)-1, 0)
		before, size = ids, min(size+size/8+1, largest)
	}
	return fmt.Errorf("%s: %w: the listing does not come to an end", l.method, quarantine.ErrUnavailable)
}

// cursor is how far a listing was read.
type cursor struct {
	direction int // 1: ids go up, -1: they go down, 0: not known yet
	any       bool
	last      int
}

// follow checks that the ids go in the direction of the listing.
func (c *cursor) follow(ids []int, size int) error {
	if len(ids) > size {
		return unreadable("a page has %d of at most %d", len(ids), size)
	}
	for i := 1; i < len(ids); i++ {
		d := 1
		if ids[i] < ids[i-1] {
			d = -1
		}
		if c.direction == 0 {
			c.direction = d
		}
		if d != c.direction || ids[i] == ids[i-1] {
			return unreadable("the ids are not in order")
		}
	}
	return nil
}

// known is how many of a page's ids were seen before.
func (c *cursor) known(ids []int) int {
	if !c.any {
		return 0
	}
	if n := slices.IndexFunc(ids, func(id int) bool { return id != c.last && (id-c.last)*c.direction >= 0 }); n >= 0 {
		return n
	}
	return len(ids)
}

type page[P any] struct {
	ids   []int
	found []P
}

// getPage reads the page at that offset. Two resources that are too long for an
// answer are read in their short form.
func getPage[T any, P numbered[T]](ctx context.Context, a *API, l listing, offset, size int) (page[P], error) {
	var p page[P]
	method, args := l.method, append([]any{allUsers, offset, -size}, l.filter...)
	doc, err := a.document(ctx, method, args...)
	if errors.Is(err, errTooLong) && size == 2 && l.short != "" {
		method = l.short
		doc, err = a.document(ctx, method, args...)
	}
	if err != nil {
		return p, err
	}
	err = splitPool(doc, l.path, func(element []byte) error {
		v := P(new(T))
		if err := decodeElement(element, v); err != nil {
			return err
		}
		id, err := v.number()
		if err != nil {
			return unreadable("one has no id")
		}
		p.ids, p.found = append(p.ids, id), append(p.found, v)
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("%s: %w", method, err)
	}
	return p, nil
}
