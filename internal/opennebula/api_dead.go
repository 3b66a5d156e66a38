package opennebula

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

const (
	// recent is how far back accounting is asked. It has the VM in each record,
	// and in each answer the records of all that live: over a long time the
	// short listing of all that are DONE is less.
	recent = 48 * time.Hour
	// window is what one accounting call asks for. 400 VMs that end are 6 MB.
	window = time.Hour
	// cleanup is how long before the VM its last history record may end: the
	// drivers of a recover --delete work between the two.
	cleanup = 10 * time.Minute
)

// Dead implements quarantine.CloudReader, for VMs: OpenNebula forgets a deleted
// image. A VM whose end destroyed no disk (it never had a host, or a --delete-db)
// is left out.
//
// Where it looks only a short time back it asks accounting, which does not show
// the end of a VM that was UNDEPLOYED or STOPPED when it was deleted by a
// recover --delete.
func (a *API) Dead(ctx context.Context, since time.Time, each func(quarantine.Deletion) error) error {
	since = since.UTC().Truncate(time.Second) // as OpenNebula counts
	now := a.cfg.Clock()
	var ids []int
	err := errTooLong
	if now.Sub(since) <= recent {
		ids, err = a.endedSince(ctx, since, now)
	}
	if errors.Is(err, errTooLong) {
		ids, err = a.doneSince(ctx, since)
	}
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ids, max(a.cfg.PageSize, 1)) {
		err := a.vms(ctx, some, func(v *vmXML) error {
			if v.State != stateDone || unix(v.ETime).Before(since) {
				return nil
			}
			d, err := v.deletion()
			if err != nil {
				return unreadable("%s", err)
			}
			if d == nil {
				return nil
			}
			return each(d.of(a.cfg.Cloud))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endedSince returns the ids of the VMs with a history record that ended at the
// time or somewhat earlier, or later.
func (a *API) endedSince(ctx context.Context, since, now time.Time) ([]int, error) {
	const method = "one.vmpool.accounting"
	since = since.Add(-cleanup)
	ids := map[int]bool{}
	for from := since; ; from = from.Add(window) {
		// Accounting gives what ended after the one time and began before the
		// other; the last window has no end, whatever the front-end's clock says.
		to, last := from.Add(window).Unix(), false
		if !from.Add(window).Before(now) {
			to, last = -1, true
		}
		doc, err := a.document(ctx, method, allUsers, from.Unix(), to)
		if err != nil {
			return nil, err
		}
		err = splitPool(doc, pathAccounts, func(element []byte) error {
			var x struct {
				OID   string `xml:"OID"`
				ETime string `xml:"ETIME"`
			}
			if err := decodeElement(element, &x); err != nil {
				return err
			}
			id, err := number(x.OID)
			if err != nil {
				return unreadable("a history record has no VM")
			}
			if end := unix(x.ETime); !end.IsZero() && !end.Before(since) {
				ids[id] = true
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		if last {
			return slices.Sorted(maps.Keys(ids)), nil
		}
	}
}

// doneSince returns the ids of the VMs that died at the time or later, in the
// order of the listing.
func (a *API) doneSince(ctx context.Context, since time.Time) ([]int, error) {
	var ids []int
	done := listing{method: "one.vmpool.info", path: pathVMs, filter: []any{filterDone}}
	err := list(ctx, a, done, func(v *vmXML) error {
		if id, err := v.number(); err == nil && !unix(v.ETime).Before(since) {
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// vms calls each for the VMs of those ids, in whatever state.
func (a *API) vms(ctx context.Context, ids []int, each func(*vmXML) error) error {
	const method = "one.vmpool.infoset"
	words := make([]string, len(ids))
	left := map[string]bool{}
	for i, id := range ids {
		words[i] = strconv.Itoa(id)
		left[words[i]] = true
	}
	doc, err := a.document(ctx, method, strings.Join(words, ","), true)
	if errors.Is(err, errTooLong) && len(ids) > 1 {
		half := len(ids) / 2
		if err := a.vms(ctx, ids[:half], each); err != nil {
			return err
		}
		return a.vms(ctx, ids[half:], each)
	}
	if err != nil {
		return err
	}
	var found []*vmXML
	err = splitPool(doc, pathVMs, func(element []byte) error {
		v := &vmXML{}
		if err := decodeElement(element, v); err != nil {
			return err
		}
		if !left[v.ID] {
			return unreadable("VM %q was not asked for", cut(v.ID, 40))
		}
		delete(left, v.ID)
		found = append(found, v)
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if len(left) > 0 {
		return fmt.Errorf("%s: %w: %d of %d VMs are missing", method, quarantine.ErrUnavailable, len(left), len(ids))
	}
	for _, v := range found {
		if err := each(v); err != nil {
			return err
		}
	}
	return nil
}
