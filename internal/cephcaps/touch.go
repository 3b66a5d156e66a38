package cephcaps

import (
	"fmt"
	"strings"
)

// CanTouch reports whether a key with these caps could read or change anything
// of an image in the pool, written "pool" or "pool/namespace", and by which part
// of them. It errs on the side of yes, as CanSwitchOff does. Reading by object
// classes alone, which every cloud's key has to look for clones, is no touch.
func CanTouch(c Caps, pool string) (bool, string) {
	name, namespace, _ := strings.Cut(pool, "/")
	for _, text := range split(c.OSD) {
		g, err := parseGrant(text)
		if err != nil {
			return true, fmt.Sprintf("osd %q: not understood: %v", text, err)
		}
		if (g.read || g.write) && g.isOf(name, namespace) {
			return true, fmt.Sprintf("osd %q is of pool %s, too", text, pool)
		}
	}
	for _, d := range []struct{ kind, caps string }{{"mon", c.Mon}, {"mgr", c.Mgr}} {
		for _, text := range split(d.caps) {
			if why := command(text); why != "" {
				return true, fmt.Sprintf("%s %q %s", d.kind, text, why)
			}
		}
	}
	return false, ""
}

// isOf reports whether the grant is about images in the namespace of the pool,
// whatever their objects are called.
func (g grant) isOf(pool, namespace string) bool {
	switch {
	case g.pool != "" && g.pool != pool:
		return false
	case g.tag != "" && g.tag != "*" && g.tag != "rbd":
		return false
	case g.namespace == nil:
		return true
	}
	begin, open := strings.CutSuffix(*g.namespace, "*")
	return *g.namespace == namespace || open && strings.HasPrefix(namespace, begin)
}

// Touching returns the clients' keys that could reach into the pool, beside
// those that can by their nature (own, an admin's, an audit key's and Ceph's
// own), with the reason.
func Touching(keys []Key, pool, own string) []Verdict {
	var out []Verdict
	for _, k := range keys {
		admin := k.Entity == "client.admin" || strings.HasPrefix(strings.TrimSpace(k.Caps.Mon), "allow *")
		if !k.IsClient() || k.Entity == own || admin || k.Caps == AuditCaps() || strings.HasPrefix(k.Entity, "client.bootstrap-") {
			continue
		}
		if can, why := CanTouch(k.Caps, pool); can {
			out = append(out, Verdict{Entities: []string{k.Entity}, Problem: "could reach the isolated copies in " + pool + ": " + why})
		}
	}
	return out
}
