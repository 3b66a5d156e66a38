package main

import (
	"context"
	"fmt"
	"strings"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

const idLength = 16

// checkID refuses what cannot be the id of a disk, or the beginning of one.
func checkID(id string) error {
	if id == "" || len(id) > idLength || strings.Trim(strings.ToLower(id), "0123456789abcdef") != "" {
		return hint(fmt.Errorf("%w: %q is no id of a disk: %d hex digits, or the first of them", errUsage, id, idLength), "quarantinectl list")
	}
	return nil
}

// look fetches the disk that begins so.
func look(ctx context.Context, c *client.Client, id string) (wire.DiskDetail, error) {
	if err := checkID(id); err != nil {
		return wire.DiskDetail{}, err
	}
	return c.Disk(ctx, id)
}

// changed prints what a disk is after an act.
func (a *app) changed(d wire.Disk, format string, args ...any) error {
	return a.print(d, func(p *page) {
		p.line("disk %s (%s): %s", d.ID, diskName(d), fmt.Sprintf(format, args...))
	})
}

// diskName is what a person calls the disk.
func diskName(d wire.Disk) string { return either(d.ResourceName, d.OriginalName) }

// keptUntil says in a word what ends the disk's time.
func keptUntil(d wire.Disk) string {
	switch {
	case d.Held:
		return "on hold"
	case !d.PurgedAt.IsZero() || !d.RestoredAt.IsZero():
		return "-"
	}
	return day(d.RetainUntil)
}
