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
	// envelope is empty where the message is not in the form in which
	// oslo.messaging writes one.
	envelope envelope
}

// peek looks at a message. It is for the hundreds of messages that come with
// each deletion, and decodes none of them: it reads the escaped JSON where it
// is, and allocates nothing.
//
// It is sure only of messages in the form in which oslo.messaging writes them.
// Of any other (keys in another order, escapes in odd places, something twice,
// JSON that is broken anywhere in the envelope) it says nothing, and the decoder
// has the last word. What it says is what the decoder would say, but for one
// thing: an update that has none of the words of a deletion is ignored, although its
// payload may be unreadable.
func peek(body []byte) peeked {
	e, ok := peekEnvelope(body)
	if !ok {
		return peeked{}
	}
	var buffer [peekLength]byte
	beginning, _ := unescape(buffer[:0], e.inner)
	event := peekEvent(beginning)
	p := peeked{envelope: e}
	if event == nil {
		return p
	}
	p.server = bytes.HasPrefix(bytes.TrimPrefix(event, []byte("compute.")), []byte("instance."))
	a, ok := actOf(event)
	p.ignorable = !ok || a.phase == phaseUpdate && !e.unicode && !saysDeleted(e.inner)
	return p
}

// saysDeleted reports whether an update without \u escapes may report a
// deletion: it does so only if a task state is "deleting" or "soft-deleting",
// or the state "deleted" (server.settle). These words stand in the escaped
// message as they are; "deleted_at", a key of every update, is not one of them.
func saysDeleted(escaped []byte) bool {
	for {
		i := bytes.Index(escaped, []byte("delet"))
		if i < 0 {
			return false
		}
		rest := escaped[i+len("delet"):]
		if bytes.HasPrefix(rest, []byte("ing")) || i > 0 && escaped[i-1] == '"' && bytes.HasPrefix(rest, []byte(`ed\"`)) {
			return true
		}
		escaped = rest
	}
}

// envelope is what was found around a message.
type envelope struct {
	inner   []byte // the inner message, still escaped, without its quotes
	unicode bool   // it has a \u escape, its own or the envelope's
}

// peekEnvelope reads the whole envelope: an object of strings, one of which,
// once, is oslo.message.
func peekEnvelope(body []byte) (e envelope, ok bool) {
	s := scanner{data: body}
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
	s := scanner{data: beginning}
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
