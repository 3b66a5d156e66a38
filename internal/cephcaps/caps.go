package cephcaps

import (
	"fmt"
	"slices"
	"strings"
)

// Caps are the capabilities of one key, per kind of daemon, in Ceph's own
// grammar. An empty string means none.
type Caps struct {
	Mon, Mgr, OSD string
}

// imagePrefixes are the objects that librbd writes for a client that makes,
// uses, snapshots, clones and deletes images. rbd_info is not among them: it
// holds the pool's settings, hence the guard. rbd_mirroring is written by the
// real removal of an image, mirrored or not: without it a cloud whose pool is
// not guarded (any more) could destroy an image's data and then fail.
var imagePrefixes = []string{
	"rbd_data.", "rbd_header.", "rbd_id.", "rbd_object_map.",
	"rbd_directory", "rbd_children", "rbd_trash", "rbd_mirroring",
}

// CloudCaps returns the caps under which a cloud does all that it does on the
// guarded pools and cannot switch their guard off. Plain pools are those that
// the same key uses and that are not guarded; they get the usual `profile
// rbd`.
//
// A pool is written "pool", which includes all of its namespaces, or
// "pool/namespace", for a cloud that has that namespace only. The latter gets
// `profile rbd` on the namespace: the settings are those of the pool, outside
// any namespace, where this profile lets it read only.
func CloudCaps(guarded []string, plain ...string) Caps {
	osd := []string{
		readChildren,
		"allow class-read object_prefix rbd_mirroring",
	}
	for _, p := range guarded {
		if strings.Contains(p, "/") {
			osd = append(osd, profileRBD(p))
			continue
		}
		osd = append(osd, byPrefix(p, append([]string{"rbd_lock"}, imagePrefixes...))...)
	}
	for _, p := range plain {
		osd = append(osd, profileRBD(p))
	}
	return Caps{Mon: "profile rbd", Mgr: "profile rbd", OSD: strings.Join(osd, ", ")}
}

// QuarantineCaps returns the smallest caps with which this service works on
// the pools and all of their namespaces, as the lab's tests show: what a cloud
// has, and the pools' settings. The monitor's `profile rbd` also answers
// `ceph health` and `ceph df`, and lets a client shut out a dead holder of an
// image's lock. The manager is not needed.
//
// Of a pool written "pool/namespace" the pool is taken.
func QuarantineCaps(pools ...string) Caps {
	osd := []string{readChildren}
	var done []string
	for _, p := range pools {
		p, _, _ = strings.Cut(p, "/")
		if slices.Contains(done, p) {
			continue
		}
		done = append(done, p)
		osd = append(osd, byPrefix(p, append([]string{"rbd_info"}, imagePrefixes...))...)
	}
	return Caps{Mon: "profile rbd", OSD: strings.Join(osd, ", ")}
}

// WithDataPools adds what a key needs where images have their data in other
// pools than their own (`rbd create --data-pool`): the data, and reading that
// the pool is fit for it, which `rbd pool init` of the data pool has written
// there. Such a pool has no settings that count: the guard is that of the
// image's own pool.
func (c Caps) WithDataPools(pools ...string) Caps {
	for _, p := range pools {
		c.OSD += fmt.Sprintf(", allow r pool=%[1]s object_prefix rbd_info, allow rwx pool=%[1]s object_prefix rbd_data.", p)
	}
	return c
}

// WithJournaling adds what a key needs where images have the feature
// journaling, as those have that are mirrored by journal: the objects journal.ID
// and journal_data.POOL.ID.N. It is for pools, not for namespaces, whose
// profile has it already.
func (c Caps) WithJournaling(pools ...string) Caps {
	for _, p := range pools {
		if !strings.Contains(p, "/") {
			c.OSD += fmt.Sprintf(", allow rwx pool=%s object_prefix journal", p)
		}
	}
	return c
}

// readChildren lets librbd look for clones of an image in all pools.
const readChildren = "allow class-read object_prefix rbd_children"

// AuditCaps returns the caps of a key that may only list all keys' caps, which
// the doctor needs to judge them. Ceph's answer contains the secrets of all
// keys as well: whoever holds this key holds the cluster.
func AuditCaps() Caps { return Caps{Mon: `allow command "auth ls"`} }

// byPrefix gives the pool's objects with the prefixes, and reading of all:
// librbd, when it makes an image, looks for a header of the old format under
// the image's bare name.
func byPrefix(pool string, prefixes []string) []string {
	caps := []string{"allow r class-read pool=" + pool}
	for _, prefix := range prefixes {
		caps = append(caps, fmt.Sprintf("allow rwx pool=%s object_prefix %s", pool, prefix))
	}
	return caps
}

func profileRBD(pool string) string {
	name, namespace, ok := strings.Cut(pool, "/")
	if !ok {
		return "profile rbd pool=" + name
	}
	return "profile rbd pool=" + name + " namespace=" + namespace
}

// Command returns the shell command that gives the entity (client.NAME) these
// caps. The key must exist; `ceph auth caps` replaces all its caps and does
// not change its secret.
func Command(entity string, c Caps) string {
	words := []string{"ceph", "auth", "caps", entity}
	words = append(words, c.Args()...)
	for i, w := range words {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}

// Args returns the caps as the arguments of `ceph auth caps ENTITY` and
// `ceph auth get-or-create ENTITY`: daemon kind, caps, daemon kind, caps …
func (c Caps) Args() []string {
	var args []string
	for _, d := range []struct{ kind, caps string }{{"mon", c.Mon}, {"mgr", c.Mgr}, {"osd", c.OSD}} {
		if d.caps != "" {
			args = append(args, d.kind, d.caps)
		}
	}
	return args
}

// quote makes a word safe for a POSIX shell.
func quote(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:,@%+", r)
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
