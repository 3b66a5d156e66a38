package openstack

import "bytes"

// peekLength is how much of the inner message is looked at for its event type.
// oslo.messaging writes it third, in the first hundred bytes.
const peekLength = 512

// peeked is what a message tells at a glance.
type peeked struct {
	// server: it is an event of Nova's about a server.
	server bool
	// ignorable: it surely reports no deletion.
	ignorable bool
}

// peek looks at a message. It is for the hundreds of messages that come with
// each deletion, and decodes none of them: it reads the escaped JSON where it
// is, and allocates nothing.
//
// It is sure only of messages in the form in which oslo.messaging writes them.
// Of any other (keys in another order, escapes in odd places, something twice,
// JSON that is broken anywhere in the envelope) it says nothing, and decodeWhole
// has the last word. What it says is what decodeWhole would say, but for one thing: an
// update that has none of the words of a deletion is ignored, although its
// payload may be unreadable.
func peek(body []byte) peeked {
	e, ok := peekEnvelope(body)
	if !ok {
		return peeked{}
	}
	var buffer [peekLength]byte
	beginning, _ := unescape(buffer[:0], e.inner)
	event := peekEvent(beginning)
	if event == nil {
		return peeked{}
	}
	p := peeked{server: bytes.HasPrefix(bytes.TrimPrefix(event, []byte("compute.")), []byte("instance."))}
	a, ok := actOf(event)
	// An update reports a deletion only if a task state is "deleting" or
	// "soft-deleting", or the state "deleted" (server.settle). Written without
	// escapes these words stand in the body as they are; "deleted_at", a key of
	// every update, is not one of them.
	p.ignorable = !ok || a.phase == phaseUpdate && !e.unicode &&
		!bytes.Contains(e.inner, []byte("deleting")) && !bytes.Contains(e.inner, []byte(`"deleted\"`))
	return p
}

// ignorable reports whether the message surely reports no deletion.
func ignorable(body []byte) bool { return peek(body).ignorable }

// envelope is what was found around a message.
type envelope struct {
	inner   []byte // the inner message, still escaped, without its quotes
	unicode bool   // it has a \u escape, its own or the envelope's
}

// peekEnvelope reads the whole envelope: an object of strings, one of which,
// once, is oslo.message.
func peekEnvelope(body []byte) (e envelope, ok bool) {
	s := scanner{text: body}
	if !s.take('{') {
		return e, false
	}
	for {
		key, _, ok := s.string()
		if !ok || !s.take(':') {
			return e, false
		}
		value, unicode, ok := s.string()
		if !ok {
			return e, false
		}
		switch {
		case string(key) == "oslo.message":
			if e.inner != nil {
				return e, false
			}
			e = envelope{value, unicode}
		case bytes.IndexByte(key, '\\') >= 0 || bytes.EqualFold(key, []byte("oslo.message")):
			return e, false // encoding/json would take it for the same key
		}
		if s.take(',') {
			continue
		}
		done := s.take('}') && s.atEnd()
		return e, done && len(e.inner) > 0
	}
}

// peekEvent returns the event type of a message of which only the beginning is
// there; nil if it is not found for sure.
func peekEvent(beginning []byte) []byte {
	s := scanner{text: beginning}
	if !s.take('{') {
		return nil
	}
	for {
		key, _, ok := s.string()
		if !ok || !s.take(':') || bytes.IndexByte(key, '\\') >= 0 {
			return nil
		}
		value, _, ok := s.string()
		if !ok {
			return nil
		}
		if string(key) == "event_type" {
			for _, c := range value {
				if c == '\\' || c >= 0x80 {
					return nil
				}
			}
			if len(value) == 0 {
				return nil
			}
			return value
		}
		if !s.take(',') {
			return nil
		}
	}
}

// unescape appends to dst what a JSON string stands for, until dst is full or a
// \u escape comes. It reports whether that was all of it.
func unescape(dst, escaped []byte) (out []byte, all bool) {
	for len(escaped) > 0 {
		n := bytes.IndexByte(escaped, '\\')
		if n < 0 {
			n = len(escaped)
		}
		if room := cap(dst) - len(dst); n >= room {
			dst = append(dst, escaped[:room]...)
			return dst, room == len(escaped)
		}
		dst = append(dst, escaped[:n]...)
		if escaped = escaped[n:]; len(escaped) < 2 {
			break
		}
		c := escaped[1]
		switch c {
		case 'u':
			return dst, false
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		}
		dst, escaped = append(dst, c), escaped[2:]
	}
	return dst, len(escaped) == 0
}

// scanner reads JSON from the left.
type scanner struct {
	text []byte
	at   int
}

// take skips white space, and the character if it is the next one.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) atEnd() bool {
	s.space()
	return s.at == len(s.text)
}

func (s *scanner) space() {
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
		default:
			return
		}
	}
}

// string reads a string and returns it as it is written, without its quotes,
// and whether it has a \u escape, or a \\ before a u, which is one for whoever
// reads the string as JSON. It is false where encoding/json would find fault
// with the string.
func (s *scanner) string() (raw []byte, unicode, ok bool) {
	if !s.take('"') {
		return nil, false, false
	}
	text := s.text[s.at:]
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c > '\\' || c > '"' && c < '\\' || c == ' ' || c == '!' {
			continue
		}
		switch {
		case c == '"':
			s.at += i + 1
			return text[:i], unicode, true
		case c < ' ':
			return nil, false, false
		}
		if i++; i == len(text) {
			return nil, false, false
		}
		switch text[i] {
		case '"', '/', 'b', 'f', 'n', 'r', 't':
		case '\\':
			unicode = unicode || i+1 < len(text) && text[i+1] == 'u'
		case 'u':
			unicode = true
			for range 4 {
				if i++; i == len(text) || !isHex(text[i]) {
					return nil, false, false
				}
			}
		default:
			return nil, false, false
		}
	}
	return nil, false, false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
