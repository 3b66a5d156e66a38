package opennebula

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// template builds a template in XML. OpenNebula's other syntax has no way to
// quote every text.
type template struct{ b strings.Builder }

// add adds a plain attribute.
func (t *template) add(name, value string) {
	t.b.WriteString("<" + name + ">")
	_ = xml.EscapeText(&t.b, []byte(value)) // a strings.Builder takes all
	t.b.WriteString("</" + name + ">")
}

// vector adds an attribute that consists of others: names and values by turns.
func (t *template) vector(name string, pairs ...string) {
	t.b.WriteString("<" + name + ">")
	for i := 0; i < len(pairs); i += 2 {
		t.add(pairs[i], pairs[i+1])
	}
	t.b.WriteString("</" + name + ">")
}

// String is the whole document.
func (t *template) String() string { return "<TEMPLATE>" + t.b.String() + "</TEMPLATE>" }

// ownAttribute begins the names of attributes that a caller may choose. None of
// OpenNebula's begins so.
const ownAttribute = "QUARANTINE_"

// requestAttribute says in a template by which request it was made. Where the
// answer to the request is lost, the VM is found by it: names are not unique.
const requestAttribute = ownAttribute + "REQUEST"

// addAll adds metadata as attributes. ErrInvalid if a name could be taken for
// one of OpenNebula's own.
func (t *template) addAll(metadata map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		name := strings.ToUpper(key)
		bad := func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') }
		if !strings.HasPrefix(name, ownAttribute) || name == requestAttribute || strings.ContainsFunc(name, bad) {
			return invalidf("metadata %q does not begin with %q, or has signs that no attribute has", cut(key, 80), strings.ToLower(ownAttribute))
		}
		t.add(name, metadata[key])
	}
	return nil
}

// What a name of OpenNebula may not have (PoolObjectSQL::INVALID_NAME_CHARS),
// and how long it may be, in bytes (PoolObjectSQL::name_is_valid). The comma is
// allowed there, but parts the names of a list in OpenNebula's own commands.
const (
	notInNames  = "&|:\\\";/'#{}$<>,"
	longestName = 128
)

// plainName makes of a name one that OpenNebula takes; "" if nothing is left.
func plainName(name string, room int) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || strings.ContainsRune(notInNames, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, name)
	// It is cut where OpenNebula would trim it.
	return strings.TrimSpace(cut(strings.TrimSpace(name), room))
}

// candidates are the names to try for a resource, the wanted one first: an owner
// has each name but once. The last is as good as certain to be free.
func candidates(wanted, unique string) []string {
	var names []string
	if plain := plainName(wanted, longestName); plain != "" {
		names = append(names, plain)
	}
	for n := 2; n <= 5 && len(names) > 0; n++ {
		names = append(names, withSuffix(wanted, fmt.Sprintf(" (%d)", n)))
	}
	return append(names, withSuffix(wanted, " ("+unique+")"))
}

func withSuffix(name, suffix string) string {
	return strings.TrimSpace(plainName(name, longestName-len(suffix)) + suffix)
}
