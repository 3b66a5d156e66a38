package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// diskPath names a disk. huma does not look into an embedded struct whose name
// is not exported, so the inputs that have more than this repeat the field.
type diskPath struct {
	ID string `path:"id" doc:"the disk's id, or the beginning of it (4 digits or more) where no other disk's begins so"`
}

// The lengths of a disk's id and of the shortest beginning that is taken.
const (
	idLength  = 16
	minPrefix = 4
)

// maxCandidates bounds how many disks an ambiguous beginning of an id lists.
const maxCandidates = 10

// find returns the disk of that id, or of which alone it is the beginning.
func (s *Server) find(ctx context.Context, id string) (quarantine.Disk, error) {
	prefix := strings.ToLower(id)
	switch {
	case strings.Trim(prefix, "0123456789abcdef") != "" || len(prefix) > idLength:
		return quarantine.Disk{}, fmt.Errorf("disk %q: %w: an id has 16 hexadecimal digits", id, quarantine.ErrNotFound)
	case len(prefix) < minPrefix:
		return quarantine.Disk{}, invalidf("%q is too little of a disk's id: write 4 digits or more", id)
	}
	found, err := s.cfg.Disks.FindDisks(ctx, quarantine.DiskFilter{IDPrefix: prefix, Limit: maxCandidates + 1})
	if err != nil {
		return quarantine.Disk{}, fmt.Errorf("find disk %s: %w", id, err)
	}
	switch len(found) {
	case 0:
		return quarantine.Disk{}, fmt.Errorf("disk %s: %w", id, quarantine.ErrNotFound)
	case 1:
		return found[0], nil
	}
	var names []string
	for _, d := range found[:min(len(found), maxCandidates)] {
		names = append(names, fmt.Sprintf("%s (%s, %s)", d.ID, d.OriginalName, d.State))
	}
	if len(found) > maxCandidates {
		names = append(names, "…")
	}
	return quarantine.Disk{}, invalidf("several disks' ids begin with %s: %s", id, strings.Join(names, ", "))
}

// countAhead is how far behind the page's beginning the disks are counted: a
// catalog of millions would be read for a number that nobody needs. Where no index
// has all that the filter asks for, and every disk's row has to be looked at, it is
// fewAhead: each may be a read from the disk.
const (
	countAhead = 2000
	fewAhead   = 200
)

// aheadOf is how far the disks of this filter are counted. With its one condition
// goes the time of death, by which each index is sorted, and the state goes with
// cloud or pool.
func aheadOf(f *quarantine.DiskFilter) int {
	n := 0
	for _, asked := range []bool{
		len(f.States) > 0 && f.Cloud == "" && f.Pool == nil, f.Cloud != "", f.Pool != nil, f.Held != nil, f.Unexplained,
		f.Project != "", f.User != "", f.VM != "", f.Address != "", f.CaseID != "", len(f.OriginalNames) > 0, f.NamePrefix != "",
	} {
		if asked {
			n++
		}
	}
	if n > 1 || f.Held != nil && !*f.Held {
		return fewAhead
	}
	return countAhead
}

func (s *Server) listDisks(ctx context.Context, in *listQuery) (*answer[wire.DiskPage], error) {
	f, err := s.filter(in)
	if err != nil {
		return nil, err
	}
	upTo := in.Offset + aheadOf(&f)
	total, err := s.cfg.Disks.CountDisks(ctx, f, upTo+1)
	if err != nil {
		return nil, fmt.Errorf("count the disks: %w", err)
	}
	disks, err := s.cfg.Disks.FindDisks(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list the disks: %w", err)
	}
	page := wire.DiskPage{Disks: make([]wire.Disk, 0, len(disks)), Total: min(total, int64(upTo)), AtLeast: total > int64(upTo), Limit: f.Limit, Offset: f.Offset}
	for _, d := range disks {
		page.Disks = append(page.Disks, wire.FromDisk(d))
	}
	return answered(page, nil)
}

func (s *Server) showDisk(ctx context.Context, in *diskPath) (*answer[wire.DiskDetail], error) {
	d, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	detail := wire.DiskDetail{Disk: wire.FromDisk(d)}
	entries, err := s.cfg.Custody.Entries(ctx, d.ID)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		// The disk is shown all the same: that its entries cannot be trusted
		// is a reason to look at it, not to hide it.
		detail.CustodyFault = err.Error()
	}
	detail.Custody = listed(entries)
	return answered(detail, nil)
}

func (s *Server) explainDisk(ctx context.Context, in *diskPath) (*answer[wire.Explanation], error) {
	d, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	now, trace := s.cfg.Policy.Explain(s.cfg.Policy.Facts(d))
	return answered(wire.Explanation{Disk: wire.FromDisk(d), Recorded: d.Decision, Now: now, Trace: listed(trace)}, nil)
}

// listed is the slice, never nil: in JSON a list without elements is [].
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// reasoned refuses a reason of blanks; huma has seen that there is one.
func reasoned(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return invalidf("body.reason: a reason is missing")
	}
	return nil
}

func (s *Server) health(context.Context, *struct{}) (*answer[liveness], error) {
	return answered(liveness{"ok"}, nil)
}

func (s *Server) ready(ctx context.Context, _ *struct{}) (*readyAnswer, error) {
	reasons := listed(s.cfg.Ready(ctx))
	out := &readyAnswer{Status: http.StatusOK, Body: readiness{Ready: len(reasons) == 0, Reasons: reasons}}
	if !out.Body.Ready {
		out.Status = http.StatusServiceUnavailable
	}
	return out, nil
}

// readyAnswer has another status when the service is not ready.
type readyAnswer struct {
	Status int
	Body   readiness
}
