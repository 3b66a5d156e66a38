package opennebula

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"

	"quarantine/internal/quarantine"
)

// An answer is one document: an element (<VM>), or a pool of them (<VM_POOL>)
// of up to MaxAnswer bytes. OpenNebula writes a pool by joining the bodies in
// its database, each well-formed by itself; tenants write much of what is in
// them, and nothing in it is escaped but by CDATA. So a pool is cut at the
// borders of its elements first, and each is decoded for itself.

// split calls each for the element that the document is (level 1), or for those
// that its root holds (level 2). The root must have that name. It blanks all
// attributes in doc, because OpenNebula writes none, and each would cost the
// XML parser twenty times its length.
//
// An error of each is returned as it is. Those of the document wrap
// ErrUnavailable: nothing may be concluded from one that is cut short, has text
// between its elements, or a document type.
func split(doc []byte, root string, level int, each func(element []byte) error) error {
	depth, from, closed := 0, 0, false
	for at := 0; ; {
		n := bytes.IndexByte(doc[at:], '<')
		if n < 0 {
			n = len(doc) - at
		}
		if depth < level && len(bytes.TrimSpace(doc[at:at+n])) > 0 {
			return unreadable("there is text between the elements")
		}
		if at += n; at == len(doc) {
			break
		}
		m, err := markupAt(doc[at:])
		if err != nil {
			return err
		}
		start := at
		at += m.length
		switch m.kind {
		case opens, empty:
			if closed || depth == 0 && string(m.name) != root {
				return unreadable("<%s> is where it should not be", cut(string(m.name), 40))
			}
			if depth == level-1 {
				from = start
			}
			if m.kind == opens {
				depth++
				continue
			}
			closed = depth == 0
		case closes:
			if depth--; depth < 0 {
				return unreadable("an element ends that has not begun")
			}
			closed = depth == 0
		default:
			continue
		}
		if depth == level-1 {
			if err := each(doc[from:at]); err != nil {
				return err
			}
		}
	}
	if !closed {
		return unreadable("the document ends too early")
	}
	return nil
}

// splitPool is split for a pool that holds elements of one name only, which is
// the second of path; the first is the root's.
func splitPool(doc []byte, path [2]string, each func(element []byte) error) error {
	return split(doc, path[0], 2, func(element []byte) error {
		if m, err := markupAt(element); err != nil || string(m.name) != path[1] {
			return unreadable("<%s> is where it should not be", cut(string(m.name), 40))
		}
		return each(element)
	})
}

// The kinds of markup.
const (
	opens  = iota // <a>
	closes        // </a>
	empty         // <a/>
	other         // a comment, CDATA, a processing instruction
)

type markup struct {
	kind, length int
	name         []byte
}

// markupAt reads the markup that doc begins with, and blanks its attributes.
func markupAt(doc []byte) (markup, error) {
	for _, s := range []struct{ begin, end string }{{"<![CDATA[", "]]>"}, {"<!--", "-->"}, {"<?", "?>"}} {
		if !bytes.HasPrefix(doc, []byte(s.begin)) {
			continue
		}
		n := bytes.Index(doc[len(s.begin):], []byte(s.end))
		if n < 0 {
			return markup{}, unreadable("the document ends too early")
		}
		return markup{kind: other, length: len(s.begin) + n + len(s.end)}, nil
	}
	if bytes.HasPrefix(doc, []byte("<!")) {
		return markup{}, unreadable("it has a document type")
	}
	end := tagEnd(doc)
	if end < 0 {
		return markup{}, unreadable("the document ends too early")
	}
	m := markup{kind: opens, length: end + 1}
	inside := doc[1:end]
	switch {
	case bytes.HasPrefix(inside, []byte("/")):
		m.kind, inside = closes, inside[1:]
	case bytes.HasSuffix(inside, []byte("/")):
		m.kind, inside = empty, inside[:len(inside)-1]
	}
	m.name = inside
	if n := bytes.IndexAny(inside, " \t\r\n"); n >= 0 {
		m.name = inside[:n]
		for i := n; i < len(inside); i++ {
			inside[i] = ' '
		}
	}
	return m, nil
}

// tagEnd is the index of the '>' that ends the tag; -1 if there is none. One
// that is quoted does not end it.
func tagEnd(doc []byte) int {
	for at := 0; ; {
		n := bytes.IndexAny(doc[at:], `>"'`)
		if n < 0 {
			return -1
		}
		at += n
		if doc[at] == '>' {
			return at
		}
		n = bytes.IndexByte(doc[at+1:], doc[at])
		if n < 0 {
			return -1
		}
		at += n + 2
	}
}

// decodeElement decodes an element that split has found. The error wraps
// ErrUnavailable: it is the front-end's fault, or the transport's.
func decodeElement(element []byte, v any) error {
	d := xml.NewTokenDecoder(&once{d: xml.NewDecoder(bytes.NewReader(element))})
	root, err := start(d)
	if err == nil {
		err = d.DecodeElement(v, &root)
	}
	if err != nil {
		return unreadable("%s", cut(err.Error(), 120))
	}
	return nil
}

// get calls a method that answers with one element of that name, and decodes
// it.
func (a *API) get(ctx context.Context, v any, name, method string, args ...any) error {
	doc, err := a.document(ctx, method, args...)
	if err != nil {
		return err
	}
	err = split(doc, name, 1, func(element []byte) error { return decodeElement(element, v) })
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// unreadable is the error about an answer that cannot be right.
func unreadable(format string, args ...any) error {
	return fmt.Errorf("%w: the answer cannot be read: %s", quarantine.ErrUnavailable, fmt.Sprintf(format, args...))
}
