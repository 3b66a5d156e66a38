package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// act does what the act says to a copy of the disk.
func (x *daemon) act(w http.ResponseWriter, r *http.Request) {
	d, err := find(r.PathValue("id"))
	if err != nil {
		refuse(w, wire.ProblemOf(err))
		return
	}
	switch r.PathValue("act") {
	case "hold", "release":
		var in wire.HoldRequest
		if err = decode(r, &in); err == nil {
			reply(w)(holdOrRelease(d.Disk, r.PathValue("act"), in))
			return
		}
	case "extend":
		var in wire.ExtendRequest
		if err = decode(r, &in); err == nil {
			reply(w)(extendDisk(d.Disk, in))
			return
		}
	case "purge":
		var in wire.ReasonRequest
		if err = decode(r, &in); err == nil {
			reply(w)(purgeDisk(d.Disk, in))
			return
		}
	case "shorten":
		var in wire.ShortenRequest
		if err = decode(r, &in); err == nil {
			q := openRequest()
			q.Kind, q.Subject, q.Disk, q.Detail, q.Reason = quarantine.RequestShorten, d.ID, d.ID, map[string]string{"until": exact(in.Until)}, in.Reason
			reply(w)(q, nil)
			return
		}
	case "restore":
		var in wire.RestoreRequest
		if err = decode(r, &in); err == nil {
			if toCloud(in) {
				x.restores.cloud(w, r, []wire.Disk{d.Disk}, in.As, in.Name, in.CloudWish)
				return
			}
			restoreDisk(w, d.Disk, in)
			return
		}
	case "isolate":
		var in wire.IsolateRequest
		if err = decode(r, &in); err == nil {
			isolateDisk(w, d.Disk, in)
			return
		}
	case "export":
		var in wire.ReasonRequest
		if err = decode(r, &in); err == nil {
			exportDisk(w, r, d.Disk, in)
			return
		}
	default:
		err = fmt.Errorf("%s: %w", r.PathValue("act"), quarantine.ErrNotFound)
	}
	refuse(w, wire.ProblemOf(err))
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", quarantine.ErrRefused, fmt.Sprintf(format, args...))
}

func holdOrRelease(d wire.Disk, act string, in wire.HoldRequest) (wire.Disk, error) {
	if d.State == string(quarantine.Purged) {
		return d, refused("disk %s is purged", d.ID)
	}
	if act == "hold" {
		d.Held = true
		d.Holds = append(d.Holds, quarantine.Hold{CaseID: in.CaseID, Reason: in.Reason, By: "ops", PlacedAt: at("2026-11-20T08:00:00Z")})
		return d, nil
	}
	for i, h := range d.Holds {
		if h.CaseID == in.CaseID && h.Open() {
			d.Holds[i].Released, d.Holds[i].ReleaseBy, d.Holds[i].ReleaseReason, d.Held = at("2026-11-20T08:00:00Z"), "boss", in.Reason, false
			return d, nil
		}
	}
	return d, fmt.Errorf("disk %s has no open hold of case %q: %w", d.ID, in.CaseID, quarantine.ErrNotFound)
}

func extendDisk(d wire.Disk, in wire.ExtendRequest) (wire.Disk, error) {
	if in.Until.Before(d.RetainUntil) {
		return d, refused("disk %s is kept until %s; its retention can only grow", d.ID, exact(d.RetainUntil))
	}
	d.RetainUntil = in.Until
	return d, nil
}

// purgeDisk makes a request; one with the reason "alone" is done at once.
func purgeDisk(d wire.Disk, in wire.ReasonRequest) (quarantine.Request, error) {
	if d.Held {
		return quarantine.Request{}, refused("disk %s is on hold: CERT-17", d.ID)
	}
	q := openRequest()
	q.Subject, q.Disk, q.Reason = d.ID, d.ID, in.Reason
	if in.Reason == "alone" {
		q.State = quarantine.RequestDone
	}
	return q, nil
}

func openRequest() quarantine.Request {
	return quarantine.Request{
		ID: "9c0ffee0c0ffee09", Kind: quarantine.RequestPurgeEarly, Subject: webID, Disk: webID, Reason: "erasure request 12", RequestedBy: "ops",
		RequestedAt: at("2026-11-20T08:00:00Z"), ExpiresAt: at("2026-11-23T08:00:00Z"), State: quarantine.RequestOpen,
	}
}

// request knows one request, which is the caller's own for the operator.
func (x *daemon) request(w http.ResponseWriter, r *http.Request) {
	q, err := openRequest(), error(nil)
	if r.PathValue("id") != q.ID {
		err = fmt.Errorf("request %s: %w", r.PathValue("id"), quarantine.ErrNotFound)
	}
	var in wire.ReasonRequest
	if err == nil && r.Method == http.MethodPost {
		err = decode(r, &in)
		q.DecidedBy, q.DecidedAt, q.DecisionReason = "boss", at("2026-11-20T09:00:00Z"), in.Reason
	}
	switch act := r.PathValue("act"); {
	case act == "approve" && in.Reason == "my own":
		err = refused("request %s is your own; it takes another person to approve it", q.ID)
	case act == "approve":
		q.State, q.DoneAt = quarantine.RequestDone, q.DecidedAt
	case act == "deny":
		q.State = quarantine.RequestDenied
	case act == "withdraw":
		q.State = quarantine.RequestWithdrawn
	}
	reply(w)(q, err)
}

// restoreDisk streams steps of a flatten; a clone named full fails in the
// middle, one named cut ends without an end, one named taken is refused at
// once.
func restoreDisk(w http.ResponseWriter, d wire.Disk, in wire.RestoreRequest) {
	if in.Name == "taken" {
		refuse(w, wire.ProblemOf(fmt.Errorf("restore to %s/taken: %w", in.Pool, quarantine.ErrExists)))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	step := func(s wire.Step) { _ = json.NewEncoder(w).Encode(s) }
	if in.Flatten {
		step(wire.Step{Done: 1, Total: 4})
		step(wire.Step{Done: 3, Total: 4})
	}
	switch {
	case in.Name == "full":
		step(wire.Step{Error: wire.ProblemOf(fmt.Errorf("flatten %s/full: no space left on device", in.Pool))})
	case in.Name == "cut":
	case in.InPlace:
		d.State, d.RestoredAt, d.RestoredTo = string(quarantine.Restored), at("2026-11-20T08:00:00Z"), d.OriginalName
		step(wire.Step{Disk: &d})
	default:
		step(wire.Step{Disk: &d})
	}
}

// isolateDisk streams steps of a copy; one for the reason refused is refused, and
// one for the reason full fails in the middle.
func isolateDisk(w http.ResponseWriter, d wire.Disk, in wire.IsolateRequest) {
	if in.Reason == "refused" {
		refuse(w, wire.ProblemOf(fmt.Errorf("%w: no evidence pool", quarantine.ErrRefused)))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	step := func(s wire.Step) { _ = json.NewEncoder(w).Encode(s) }
	if in.DryRun {
		step(wire.Step{Disk: &d})
		return
	}
	step(wire.Step{Done: 1, Total: 4})
	if in.Reason == "full" {
		step(wire.Step{Error: wire.ProblemOf(errors.New("write to evidence: no space left on device"))})
		return
	}
	d.CopyOf = &quarantine.CopyRef{Disk: d.ID, Key: quarantine.Key{Pool: d.Pool, ImageID: d.ImageID}, SHA256: "9f86d081884c7d65"}
	d.ID, d.Pool = "c0c0c0c0c0c0c0c0", "evidence"
	step(wire.Step{Disk: &d})
}

// The exported disk: 1 MiB, with data at its beginning, zeros as data in its
// middle, and data again before its last byte.
const exportSize = 1 << 20

func exportExtents() map[int64][]byte {
	return map[int64][]byte{
		0:                 bytes.Repeat([]byte("evidence"), 512),
		256 << 10:         make([]byte, 128<<10),
		exportSize - 8193: bytes.Repeat([]byte{0xff}, 8192),
	}
}

// exportedBytes are all bytes of the disk.
func exportedBytes() []byte {
	b := make([]byte, exportSize)
	for offset, data := range exportExtents() {
		copy(b[offset:], data)
	}
	return b
}

// exportDisk streams the disk. The reasons "damage", "cut" and "stall" make it
// go wrong; a purged disk is refused.
func exportDisk(w http.ResponseWriter, r *http.Request, d wire.Disk, in wire.ReasonRequest) {
	if !d.Sealed {
		refuse(w, wire.ProblemOf(refused("disk %s is %s; only sealed disks are exported", d.ID, d.State)))
		return
	}
	w.Header().Set("Content-Type", wire.ExportContentType)
	x, err := wire.NewExportWriter(w, exportSize)
	if err != nil {
		return
	}
	extents := exportExtents()
	for _, offset := range []int64{0, 256 << 10, exportSize - 8193} {
		data := extents[offset]
		if offset > 0 {
			switch in.Reason {
			case "cut":
				return
			case "stall":
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				return
			}
		}
		if in.Reason == "damage" {
			data = bytes.ReplaceAll(data, []byte{0xff}, []byte{0xfe})
		}
		if x.Extent(offset, data) != nil {
			return
		}
	}
	_ = x.End(sha256.Sum256(exportedBytes()))
}

// hook decodes nothing: a payload with "nothing" in it reports nothing, one
// with "broken" is refused, others report the VM's deletion.
func hook(w http.ResponseWriter, r *http.Request) {
	var payload map[string]any
	err := json.NewDecoder(r.Body).Decode(&payload)
	switch {
	case err != nil:
		refuse(w, wire.ProblemOf(fmt.Errorf("decode the payload of hook %s: %w: no JSON", r.PathValue("source"), quarantine.ErrInvalid)))
	case strings.Contains(fmt.Sprint(payload), "nothing"):
		reply(w)(wire.Hooked{DryRun: true, Deletions: []quarantine.Deletion{}}, nil)
	default:
		reply(w)(wire.Hooked{DryRun: true, Deletions: []quarantine.Deletion{webDeletion()}}, nil)
	}
}
