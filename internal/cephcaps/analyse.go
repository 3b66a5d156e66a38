package cephcaps

import (
	"fmt"
	"slices"
	"strings"
)

// settings is the object, in no namespace, whose omap holds a pool's settings.
const settings = "rbd_info"

// CanSwitchOff reports whether a key with these caps could switch the guard of
// the pool off, and by which part of them. It errs on the side of yes: what it
// cannot parse counts as a way, with that as the reason.
//
// Ways are: writing the object rbd_info of the pool; and, through the monitors
// or the manager, changing caps, settings or pools, or reading other keys'
// secrets. A cap by tag counts when the tag is of the application rbd, which
// is that of every pool with images.
func CanSwitchOff(c Caps, pool string) (bool, string) {
	for _, text := range split(c.OSD) {
		g, err := parseGrant(text)
		if err != nil {
			return true, fmt.Sprintf("osd %q: not understood: %v", text, err)
		}
		if g.write && g.covers(pool) {
			return true, fmt.Sprintf("osd %q lets it write %s of pool %s", text, settings, pool)
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

// grant is one clause of an OSD cap.
type grant struct {
	// write: it may change an object, by itself or through an object class.
	write bool
	// read: it may read an object as it is, not only by an object class.
	read      bool
	pool      string // "" is any
	namespace *string
	prefix    string
	tag       string // the application of a tag match, "" is none
}

// covers reports whether the grant is about the settings of the pool.
func (g grant) covers(pool string) bool {
	switch {
	case g.pool != "" && g.pool != pool:
		return false
	case g.namespace != nil && *g.namespace != "" && *g.namespace != "*":
		// "ns*" stands for what begins with ns, which no namespace does not.
		return false
	case g.tag != "" && g.tag != "*" && g.tag != "rbd":
		return false
	}
	return strings.HasPrefix(settings, g.prefix)
}

// parseGrant reads one clause:
//
//	allow CAPSPEC [MATCH…] | allow MATCH… CAPSPEC | [allow] profile NAME [MATCH…]
//	CAPSPEC: * | r w x class-read class-write in any combination | class NAME [METHOD]
//	MATCH: pool[=]NAME | namespace[=]NAME | object_prefix[=]PREFIX | tag APP KEY=VALUE | network CIDR
func parseGrant(text string) (grant, error) {
	var g grant
	w, err := tokens(text)
	if err != nil {
		return g, err
	}
	allowed := false
	if len(w) > 0 && w[0] == "allow" {
		allowed, w = true, w[1:]
	}
	if len(w) > 0 && w[0] == "profile" {
		name, rest, err := value(w)
		if err != nil {
			return g, err
		}
		switch name {
		case "rbd":
			g.read, g.write = true, true
		case "rbd-read-only":
			g.read = true
		default:
			return g, fmt.Errorf("unknown profile %q", name)
		}
		allowed, w = true, rest
	}
	if !allowed {
		return g, fmt.Errorf("neither allow nor profile")
	}
	return g, g.rest(w)
}

func (g *grant) rest(w []string) error {
	for len(w) > 0 {
		var v string
		var err error
		switch word := w[0]; word {
		case "pool":
			g.pool, w, err = value(w)
		case "namespace":
			v, w, err = value(w)
			g.namespace = &v
		case "object_prefix":
			g.prefix, w, err = value(w)
		case "network":
			_, w, err = value(w)
		case "tag":
			// tag APP KEY=VALUE
			if len(w) < 5 || w[3] != "=" {
				return fmt.Errorf("incomplete tag")
			}
			g.tag, w = w[1], w[5:]
		case "class":
			// CLASS and perhaps METHOD: any class's method might write.
			g.write = true
			_, w, err = value(w)
			if err == nil && len(w) > 0 && !slices.Contains(matchWords, w[0]) {
				w = w[1:]
			}
		case "class-read":
			w = w[1:]
		case "class-write":
			g.write, w = true, w[1:]
		default:
			if word == "" || strings.Trim(word, "rwx") != "" && word != "*" && word != "all" {
				return fmt.Errorf("unknown word %q", word)
			}
			g.write = g.write || word != "r"
			g.read = g.read || strings.Contains(word, "r") || word == "*" || word == "all"
			w = w[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var matchWords = []string{"pool", "namespace", "object_prefix", "network", "tag"}

// value returns what follows a word, with or without "=".
func value(w []string) (string, []string, error) {
	name := w[0]
	w = w[1:]
	if len(w) > 0 && w[0] == "=" {
		w = w[1:]
	}
	if len(w) == 0 || w[0] == "=" {
		return "", nil, fmt.Errorf("nothing after %q", name)
	}
	return w[0], w[1:], nil
}

// harmless are the clauses of monitor and manager caps with which a key can
// change neither caps nor settings nor pools, and read no secret. The
// manager's rbd commands remove through librbd, which the guard catches.
var harmless = []string{
	"profile rbd", "profile rbd-read-only", "profile simple-rados-client",
	"profile simple-rados-client-with-blocklist", "profile crash", "profile fs-client",
	"allow r", "allow profile rbd", "allow profile rbd-read-only",
	"allow command health", "allow command df", "allow command status",
}

// command returns what is to be feared of a clause of a monitor's or manager's
// cap, or "".
func command(text string) string {
	w, err := tokens(text)
	if err != nil {
		return fmt.Sprintf("is not understood: %v", err)
	}
	// `profile rbd pool=P` restricts the manager's commands further.
	if len(w) >= 2 && w[0] == "profile" && (w[1] == "rbd" || w[1] == "rbd-read-only") {
		return ""
	}
	line := strings.Join(w, " ")
	switch {
	case slices.Contains(harmless, line):
		return ""
	case strings.HasPrefix(line, "allow command auth "):
		return "reads or changes other keys"
	}
	return "may change caps, settings or pools"
}

// split cuts caps into their clauses, at commas and semicolons outside quotes.
func split(caps string) []string {
	var clauses []string
	var quote rune
	start := 0
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" {
			clauses = append(clauses, s)
		}
	}
	for i, r := range caps {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote = r
		case r == ',' || r == ';':
			add(caps[start:i])
			start = i + 1
		}
	}
	add(caps[start:])
	return clauses
}

// tokens cuts a clause into words, quoted words (without their quotes) and
// "=" signs.
func tokens(text string) ([]string, error) {
	var out []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		switch c := text[0]; c {
		case '=':
			out, text = append(out, "="), text[1:]
		case '"', '\'':
			end := strings.IndexByte(text[1:], c)
			if end < 0 {
				return nil, fmt.Errorf("a quote is not closed")
			}
			out, text = append(out, text[1:1+end]), text[end+2:]
		default:
			end := strings.IndexAny(text, "= \t\r\n\"'")
			if end < 0 {
				end = len(text)
			}
			out, text = append(out, text[:end]), text[end:]
		}
	}
	return out, nil
}
