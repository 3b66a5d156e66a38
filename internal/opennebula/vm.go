package opennebula

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// maxName bounds the names that are copied, in bytes. OpenNebula's own limits
// are below.
const maxName = 256

// deletion returns what the message reports; nil if that is nothing.
func (v *vmXML) deletion() (*deletion, error) {
	a := v.act()
	if err := checkNumber("VM ID", v.ID); err != nil {
		return nil, err
	}
	if err := checkNumber("VM STATE", v.State); err != nil {
		return nil, err
	}
	if a.kind == "" {
		return nil, nil
	}
	d := v.report(a)
	if a.record == nil {
		// DONE at once: the disks are removed after it.
		d.StartedAt = unix(v.ETime)
	}
	if a.ended {
		d.EndedAt = unix(v.ETime)
	}
	switch a.kind {
	case quarantine.KindRecreate, quarantine.KindDiskDetach:
		// The VM lives on and can go through it again. Without a disk nothing
		// was destroyed.
		if len(d.Disks) == 0 {
			return nil, nil
		}
		if a.record == nil {
			return nil, invalidf("VM %s: %s without a history record", v.ID, a.kind)
		}
		d.request = requestOf(a.record)
	}
	return d, nil
}

// requestOf tells apart the acts that a VM lives through.
func requestOf(r *historyXML) string { return "seq " + r.Seq }

// report is what the VM says of an act, without its end.
func (v *vmXML) report(a act) *deletion {
	d := &deletion{Deletion: v.owned(quarantine.ResourceVM, v.STime)}
	d.Kind = a.kind
	d.Disks = v.diskRefs(a)
	d.Addresses = v.addresses()
	d.Metadata = v.UserTemplate
	d.Tags = labels(v.UserTemplate["LABELS"])
	d.Image = v.bootImage()
	if last, _ := v.lastRecords(); last != nil {
		d.Host = cut(last.HostName, maxName)
	}
	if a.record != nil {
		d.StartedAt = startOf(a)
		if positive(a.record.RequestID) {
			d.RequestID = a.record.RequestID
		}
		d.Deleter = v.caller(a)
	}
	return d
}

// death is what the delete of a living VM would be.
func (v *vmXML) death() *deletion { return v.report(act{kind: quarantine.KindDelete}) }

// startOf is the first time that the record gives for the act. For terminate
// it is the epilog's beginning: the record's own end is of an earlier stop or
// undeploy.
func startOf(a act) time.Time {
	if a.kind == quarantine.KindDelete {
		if t := unix(a.record.ESTime); !t.IsZero() {
			return t
		}
	}
	return unix(a.record.ETime)
}

// caller is who asked for the act, as far as the history says it: it records
// the caller of recover and disk-detach, but for terminate the VM's owner.
func (v *vmXML) caller(a act) quarantine.Principal {
	switch a.record.Action {
	case actionDelete, actionRecreate, actionDetach:
	default:
		return quarantine.Principal{}
	}
	uid := a.record.UID
	if checkNumber("UID", uid) != nil {
		return quarantine.Principal{} // -1: OpenNebula itself
	}
	p := quarantine.Principal{ID: uid}
	switch uid {
	case v.UID:
		p.Name = cut(v.UName, maxName)
	case "0":
		p.Name = "oneadmin" // the account that oned creates first
	}
	return p
}

// owned fills what VMs and images have in common.
func (o *ownerXML) owned(kind quarantine.ResourceKind, created string) quarantine.Deletion {
	return quarantine.Deletion{
		ResourceKind: kind,
		ResourceID:   o.ID,
		ResourceName: cut(o.Name, maxName),
		Project:      quarantine.Principal{ID: cut(o.GID, maxName), Name: cut(o.GName, maxName)},
		User:         quarantine.Principal{ID: cut(o.UID, maxName), Name: cut(o.UName, maxName)},
		CreatedAt:    unix(created),
	}
}

// bootImage is the image of the boot disk, or else of the first disk that has
// one.
func (v *vmXML) bootImage() quarantine.Principal {
	var first quarantine.Principal
	for _, d := range v.Disks {
		if d.Image == "" && d.ImageID == "" || strings.HasSuffix(d.Type, "CDROM") {
			continue
		}
		p := quarantine.Principal{ID: cut(d.ImageID, maxName), Name: cut(d.Image, maxName)}
		if d.ID == v.bootDisk() {
			return p
		}
		if first == (quarantine.Principal{}) {
			first = p
		}
	}
	return first
}

// addresses lists what the interfaces had. An address that is none is left
// out.
func (v *vmXML) addresses() []quarantine.Address {
	var out []quarantine.Address
	for _, nics := range [][]nicXML{v.NICs, v.Aliases} {
		for _, n := range nics {
			base := quarantine.Address{MAC: strings.ToLower(cut(n.MAC, 64)), Network: cut(n.Network, maxName)}
			found := false
			for _, text := range []string{n.IP, n.IP6, n.IP6Global, n.IP6ULA, n.IP6Link} {
				if ip, err := netip.ParseAddr(text); err == nil {
					a := base
					a.IP = ip.String()
					out = append(out, a)
					found = true
				}
			}
			if !found && base.MAC != "" {
				out = append(out, base)
			}
		}
	}
	return out
}

// labels splits OpenNebula's LABELS attribute.
func labels(s string) []string {
	var out []string
	for label := range strings.SplitSeq(s, ",") {
		if label = strings.TrimSpace(label); label != "" {
			out = append(out, label)
		}
	}
	return out
}

// unix reads OpenNebula's times, seconds since 1970; zero for 0 and for what
// is no time.
func unix(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > 1<<36 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

func positive(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && n > 0
}

// checkNumber refuses what is not a small decimal number in its usual form.
func checkNumber(what, s string) error {
	if _, err := number(s); err != nil {
		return invalidf("%s is %q, not a number", what, cut(s, 40))
	}
	return nil
}

// number reads an id of OpenNebula: a small decimal number in its usual form.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, strconv.ErrSyntax
	}
	return int(n), nil
}
