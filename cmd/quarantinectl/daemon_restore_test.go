package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// restores are the daemon's restores to clouds that wait to be cancelled.
type restores struct {
	mu        sync.Mutex
	cancelled map[string]chan struct{}
}

// begin makes a restore that can be cancelled.
func (r *restores) begin() (id string, cancelled <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancelled == nil {
		r.cancelled = map[string]chan struct{}{}
	}
	id = fmt.Sprintf("r%d", len(r.cancelled)+1)
	ch := make(chan struct{})
	r.cancelled[id] = ch
	return id, ch
}

func (r *restores) cancel(w http.ResponseWriter, req *http.Request) {
	id := req.PathValue("restore")
	r.mu.Lock()
	defer r.mu.Unlock()
	ch := r.cancelled[id]
	if ch == nil {
		reply(w)(nil, fmt.Errorf("restore %s is not under way: %w", id, quarantine.ErrNotFound))
		return
	}
	close(ch)
	reply(w)(map[string]string{"restore": id}, nil)
}

// vm restores the disks of web-1; a VM called web is several, and one called
// rebuilt died twice.
func (r *restores) vm(w http.ResponseWriter, req *http.Request) {
	var in wire.VMRestoreRequest
	if err := decode(req, &in); err != nil {
		refuse(w, wire.ProblemOf(err))
		return
	}
	switch in.VM {
	case "web":
		refuse(w, wire.ProblemOf(fmt.Errorf("%w: several VMs are called web; name one by its id:\nvm-1 of cloud prod, web: 1 disks\nvm-2 of cloud prod, web: 2 disks", quarantine.ErrInvalid)))
		return
	case "web-1":
	default:
		refuse(w, wire.ProblemOf(fmt.Errorf("VM %s has no disks in quarantine: %w", in.VM, quarantine.ErrNotFound)))
		return
	}
	all := disks()
	r.cloud(w, req, []wire.Disk{all[0].Disk, all[1].Disk}, in.As, in.Name, in.CloudWish)
}

// cloud answers a restore to a cloud. One named stall goes on until it is
// cancelled, one named broken fails and leaves something, a project named far
// has to accept its volumes.
func (r *restores) cloud(w http.ResponseWriter, req *http.Request, disks []wire.Disk, as, name string, wish wire.CloudWish) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	send := func(s wire.Step) {
		_ = json.NewEncoder(w).Encode(s)
		_ = http.NewResponseController(w).Flush()
	}
	if wish.DryRun {
		plan := quarantine.CloudPlan{Cloud: "prod", As: as, Name: "restored-web-1", Items: []quarantine.PlanItem{}}
		for _, d := range disks {
			plan.Items = append(plan.Items, quarantine.PlanItem{Disk: d.ID, Name: "restored-web-1-" + d.Role, Role: d.Role, SizeBytes: d.SizeBytes, Pool: d.Pool, To: "volumes", How: "copy", Bootable: d.Role == "root"})
		}
		if len(disks) > 1 {
			plan.LeftOut = []quarantine.PlanItem{{Disk: strayID, Name: "web-1_disk.swap", Role: "swap", Reason: "its role is swap"}}
		}
		send(wire.Step{Plan: &plan})
		return
	}
	id, cancelled := r.begin()
	send(wire.Step{Restore: id})
	res := wire.CloudResult{Disks: []wire.Disk{}, Made: []quarantine.Made{}}
	for i, d := range disks {
		send(wire.Step{Stage: "clone", DiskID: d.ID})
		send(wire.Step{Stage: "flatten", DiskID: d.ID, Done: 1, Total: 4})
		send(wire.Step{Stage: as, DiskID: d.ID})
		kind := quarantine.ResourceVolume
		if as == wire.RestoreImage {
			kind = quarantine.ResourceImage
		}
		m := quarantine.Made{Kind: kind, ID: fmt.Sprintf("v-%d", i+1), Name: "restored-web-1", Project: quarantine.Principal{Name: wish.Project}}
		if wish.Project == "far" {
			m.Transfer = &quarantine.Transfer{ID: "t-1", AuthKey: "s3cret"}
		}
		res.Disks, res.Made = append(res.Disks, d), append(res.Made, m)
	}
	switch name {
	case "stall":
		select {
		case <-cancelled:
			send(wire.Step{Stage: "clean-up"})
			send(wire.Step{Result: &wire.CloudResult{Removed: []string{"volume v-1 of cloud prod", "image volumes/quarantine-restore.x.1"}}, Error: wire.NewProblem(http.StatusConflict, wire.CodeCancelled, "cancelled: flatten volumes/x: unavailable")})
		case <-req.Context().Done():
		}
		return
	case "broken":
		send(wire.Step{Result: &wire.CloudResult{Removed: []string{"volume v-2 of cloud prod"}, Left: []string{"volume v-1 of cloud prod could not be deleted: busy"}}, Error: wire.ProblemOf(fmt.Errorf("make server x in cloud prod: %w", quarantine.ErrUnavailable))})
		return
	}
	if as == wire.RestoreServer {
		res.Made = append(res.Made, quarantine.Made{Kind: quarantine.ResourceVM, ID: "s-1", Name: "restored-web-1", Project: quarantine.Principal{Name: wish.Project}})
	}
	last := wire.Step{Result: &res}
	if len(disks) == 1 {
		last.Disk = &disks[0]
	}
	send(last)
}

// toCloud reports whether the restore is one to a cloud.
func toCloud(in wire.RestoreRequest) bool {
	return slices.Contains([]string{wire.RestoreVolume, wire.RestoreImage, wire.RestoreServer}, in.As)
}
