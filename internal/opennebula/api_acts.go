package opennebula

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"quarantine/internal/quarantine"
)

// Acts implements quarantine.CloudReader, for VMs: each recreate and each
// disk-detach of its history, and its delete or recover-delete. A detach is
// given if the front-end's accounting still tells which disk it was, and not for
// a persistent disk, which it does not destroy.
func (a *API) Acts(ctx context.Context, kind quarantine.ResourceKind, id string) ([]quarantine.Deletion, error) {
	n, err := number(id)
	if kind != quarantine.ResourceVM || err != nil {
		return nil, nil
	}
	ds, err := a.acts(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("the acts on VM %d: %w", n, err)
	}
	return ds, nil
}

func (a *API) acts(ctx context.Context, id int) ([]quarantine.Deletion, error) {
	v, err := a.vm(ctx, id)
	if errors.Is(err, quarantine.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	acts, err := v.acts()
	if err != nil {
		return nil, unreadable("%s", err)
	}
	if err := a.addDetached(ctx, v, acts); err != nil {
		return nil, err
	}
	var ds []quarantine.Deletion
	for _, d := range acts {
		if len(d.Disks) > 0 || deathOf(d.Kind) {
			ds = append(ds, d.of(a.cfg.Cloud))
		}
	}
	return ds, nil
}

// acts are all acts on the VM that destroyed disks, in the order of its history.
// Those of the past have the disks that the VM has now; a detach has none.
func (v *vmXML) acts() ([]*deletion, error) {
	last, err := v.deletion()
	if err != nil {
		return nil, err
	}
	records := slices.Clone(v.History)
	slices.SortStableFunc(records, func(a, b historyXML) int { return cmp.Compare(seq(a), seq(b)) })
	var out []*deletion
	for i := range records {
		r := &records[i]
		past := act{record: r}
		switch r.Action {
		case actionRecreate:
			past.kind = quarantine.KindRecreate
		case actionDetach:
			past.kind = quarantine.KindDiskDetach
		default:
			continue
		}
		d := v.report(past)
		d.request = requestOf(r)
		d.Host = cut(r.HostName, maxName)
		if past.kind == quarantine.KindDiskDetach {
			d.Disks = nil
		}
		if last != nil && last.Kind == d.Kind && last.request == d.request {
			d, last = last, nil // it is going on, and says more
		}
		out = append(out, d)
	}
	if last != nil {
		out = append(out, last)
	}
	return out, nil
}

// deathOf reports whether a VM dies of that.
func deathOf(k quarantine.Kind) bool {
	return k == quarantine.KindDelete || k == quarantine.KindRecoverDelete
}

// accountXML is a history record as accounting gives it, with what the VM was
// when the record was written last.
type accountXML struct {
	OID  string `xml:"OID"`
	Seq  string `xml:"SEQ"`
	Data vmXML  `xml:"VM"`
}

// addDetached gives the detaches their disks. When oned closes the record of a
// detach, it keeps in it the VM with the disk that is going.
func (a *API) addDetached(ctx context.Context, v *vmXML, acts []*deletion) error {
	wanted := map[string]*deletion{}
	for _, d := range acts {
		if d.Kind == quarantine.KindDiskDetach && len(d.Disks) == 0 && !d.StartedAt.IsZero() {
			wanted[d.request] = d
		}
	}
	owner, err := number(v.UID)
	if len(wanted) == 0 || err != nil {
		return nil
	}
	const method = "one.vmpool.accounting"
	var from, to int64
	for _, d := range wanted {
		// Accounting gives what ended after the one time and began before the
		// other.
		if at := d.StartedAt.Unix(); from == 0 || at < from {
			from = at
		}
		to = max(to, d.StartedAt.Unix())
	}
	doc, err := a.document(ctx, method, owner, from-1, to+1)
	switch {
	case errors.Is(err, errTooLong):
		return nil // an owner with thousands of VMs; the disks stay unexplained
	case err != nil:
		return err
	}
	err = splitPool(doc, pathAccounts, func(element []byte) error {
		var id struct {
			OID string `xml:"OID"`
		}
		if err := decodeElement(element, &id); err != nil || id.OID != v.ID {
			return err
		}
		var x accountXML
		if err := decodeElement(element, &x); err != nil {
			return err
		}
		if d := wanted[requestOf(&historyXML{Seq: x.Seq})]; d != nil {
			x.Data.ID, x.Data.Boot = v.ID, cmp.Or(x.Data.Boot, v.Boot)
			d.Disks = x.Data.diskRefs(act{kind: quarantine.KindDiskDetach})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// pathAccounts are the elements of accounting.
var pathAccounts = [2]string{"HISTORY_RECORDS", "HISTORY"}
