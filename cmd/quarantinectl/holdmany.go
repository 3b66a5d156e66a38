package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// manyFlags select the disks of an act on many.
type manyFlags struct {
	query       client.Query
	dryRun, yes bool
}

func (f *manyFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.query.VM, "vm", "", "all disks of the VM of this `name` or id")
	flags.StringVar(&f.query.Project, "project", "", "all of the project of this `name` or id")
	flags.StringVar(&f.query.User, "user", "", "all of the owner or deleter of this `name` or id")
	flags.StringVar(&f.query.Address, "address", "", "all that had this `IP` or MAC")
	flags.StringVar(&f.query.Cloud, "cloud", "", "all of the cloud of this `name`")
	flags.BoolVar(&f.dryRun, "dry-run", false, "list the disks, and do nothing")
	yesFlag(cmd, &f.yes)
}

// selects reports whether a selector was given.
func (f *manyFlags) selects() bool {
	q := f.query
	return q.VM != "" || q.Project != "" || q.User != "" || q.Address != "" || q.Cloud != ""
}

// manyResult is what came of one disk.
type manyResult struct {
	Disk  string `json:"disk"`
	Name  string `json:"name"`
	Error string `json:"error,omitempty"`
}

// workersOfMany is how many disks are asked for at once.
const workersOfMany = 8

// onMany performs an act on all disks that the query selects and that wanted wants.
// It may be repeated: who was cut short begins again, and what was done is passed
// over.
func (a *app) onMany(ctx context.Context, c *client.Client, f manyFlags, verb string, wanted func(wire.Disk) bool, act func(context.Context, wire.Disk) error) error {
	f.query.States = []quarantine.State{quarantine.Pending, quarantine.Quarantined, quarantine.Expiring, quarantine.Restoring, quarantine.Purging}
	disks := []wire.Disk{}
	for d, err := range c.Disks(ctx, f.query) {
		if err != nil {
			return noPool(err)
		}
		if wanted(d) {
			disks = append(disks, d)
		}
	}
	if f.dryRun {
		if err := a.print(disks, func(p *page) { diskTable(p, disks); p.line("%d disks to %s", len(disks), verb) }); err != nil {
			return err
		}
		if len(disks) == 0 {
			return errNothing
		}
		return nil
	}
	if len(disks) == 0 {
		a.say("no disk to %s", verb)
		return errNothing
	}
	if err := a.confirm(f.yes, fmt.Sprintf("%d disks to %s. Go on?", len(disks), verb)); err != nil {
		return err
	}
	results, err := a.eachOf(ctx, disks, verb, act)
	failed := 0
	for _, r := range results {
		if r.Error != "" {
			failed++
		}
	}
	perr := a.print(results, func(p *page) {
		for _, r := range results {
			if r.Error != "" {
				p.line("disk %s (%s): %s", r.Disk, r.Name, r.Error)
			}
		}
		p.line("%d of %d disks: %s", len(results)-failed, len(disks), verb)
	})
	switch {
	case err != nil || perr != nil:
		return errors.Join(err, perr)
	case failed > 0:
		return hint(fmt.Errorf("%w: %d of %d disks failed", errPartial, failed, len(disks)), "run it again: what was done is passed over")
	}
	return nil
}

// eachOf calls act for each of the disks, some at once, until one finds that the
// daemon does not answer or who asks has had enough. It returns what came of those
// that were begun.
func (a *app) eachOf(ctx context.Context, disks []wire.Disk, verb string, act func(context.Context, wire.Disk) error) ([]manyResult, error) {
	bar := a.newProgress(verb, false)
	defer bar.end()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var stop error
	results := []manyResult{}
	next := make(chan wire.Disk)
	for range workersOfMany {
		wg.Go(func() {
			for d := range next {
				err := act(ctx, d)
				r := manyResult{Disk: d.ID, Name: diskName(d)}
				if err != nil {
					r.Error = a.message(err)
				}
				mu.Lock()
				if errors.Is(err, client.ErrUnreachable) || errors.Is(err, context.Canceled) {
					stop = err
				}
				results = append(results, r)
				bar.at(uint64(len(results)), uint64(len(disks)))
				mu.Unlock()
			}
		})
	}
	for _, d := range disks {
		mu.Lock()
		over := stop != nil || ctx.Err() != nil
		mu.Unlock()
		if over {
			break
		}
		next <- d
	}
	close(next)
	wg.Wait()
	return results, stop
}

// holds reports whether an open hold of the case is on the disk.
func holds(d wire.Disk, caseID string) bool {
	for _, h := range d.Holds {
		if h.CaseID == caseID && h.Open() {
			return true
		}
	}
	return false
}
