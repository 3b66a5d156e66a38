package cephcaps

import (
	"fmt"
	"strings"
)

// Caps are the capabilities of one key, per kind of daemon, in Ceph's own
// grammar. An empty string means none.
type Caps struct {
	Mon, Mgr, OSD string
}

// cloudPrefixes are the objects that librbd writes for a client that makes,
// uses, snapshots, clones and deletes images. rbd_info is not among them: it
// holds the pool's settings, hence the guard.
var cloudPrefixes = [...]string{
	"rbd_data.", "rbd_header.", "rbd_id.", "rbd_object_map.",
	"rbd_directory", "rbd_children", "rbd_trash", "rbd_lock",
}

// CloudCaps returns the caps under which a cloud does all that it does on the
// guarded pools and cannot switch their guard off. A pool is "name". Plain
// pools are those that the same key uses and that are not guarded; they get
// the usual `profile rbd`.
//
// `r class-read` on the whole pool is needed because librbd, when it makes an
// image, looks for a header of the old format under the image's bare name.
func CloudCaps(guarded []string, plain ...string) Caps {
	osd := []string{
		"allow class-read object_prefix rbd_children",
		"allow class-read object_prefix rbd_mirroring",
	}
	for _, p := range guarded {
		osd = append(osd, "allow r class-read pool="+p)
		for _, prefix := range cloudPrefixes {
			osd = append(osd, fmt.Sprintf("allow rwx pool=%s object_prefix %s", p, prefix))
		}
	}
	for _, p := range plain {
		osd = append(osd, "profile rbd pool="+p)
	}
	return Caps{Mon: "profile rbd", Mgr: "profile rbd", OSD: strings.Join(osd, ", ")}
}

// QuarantineCaps returns the smallest caps with which this product works on
// the pools.
func QuarantineCaps(pools ...string) Caps {
	var osd []string
	for _, p := range pools {
		osd = append(osd, "profile rbd pool="+p)
	}
	return Caps{Mon: "profile rbd, allow r", OSD: strings.Join(osd, ", ")}
}

// Command returns the shell command that gives the entity (client.NAME) these
// caps. The key must exist; `ceph auth caps` replaces all its caps and does
// not change its secret.
func Command(entity string, c Caps) string {
	words := []string{"ceph", "auth", "caps", entity}
	for _, w := range c.Args() {
		words = append(words, w)
	}
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
