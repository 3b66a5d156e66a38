package openstack

import (
	"encoding/json"
	"fmt"
	"strings"
)

// maxNesting is how deep JSON may be nested, as in encoding/json.
const maxNesting = 10000

// scanner reads JSON from the left, once, and hands out only what is asked
// for. It is for the notifications: encoding/json goes over each of them twice,
// and takes a key for another one that differs only in its letters' case.
//
// It takes as JSON exactly what encoding/json takes. Where the text is none it
// is broken, and stays where it is.
type scanner struct {
	data   []byte
	at     int
	depth  int
	broken bool
}

// take skips white space, and the character if it is the next one.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// peek skips white space and returns the next character; 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) atEnd() bool {
	s.peek()
	return s.at == len(s.data)
}

// object reads a value. Of an object, member is called for each key, and must
// read that member's value. It reports whether the value was an object.
func (s *scanner) object(member func(key []byte)) bool {
	if !s.begin('{') {
		return false
	}
	for more := !s.end('}'); more; more = s.next('}') {
		key, ok := s.key()
		if !ok || !s.take(':') {
			s.broken = true
			return true
		}
		member(key)
	}
	return true
}

// array reads a value. Of an array, element is called for each element, and
// must read it.
func (s *scanner) array(element func()) {
	if !s.begin('[') {
		return
	}
	for more := !s.end(']'); more; more = s.next(']') {
		element()
	}
}

// begin takes the character that begins a value with values in it, or skips a
// value of another kind.
func (s *scanner) begin(c byte) bool {
	if s.broken || !s.take(c) {
		s.skip()
		return false
	}
	if s.depth++; s.depth > maxNesting {
		s.broken = true
		return false
	}
	return true
}

// end takes the character that ends what begin began.
func (s *scanner) end(c byte) bool {
	if !s.take(c) {
		return false
	}
	s.depth--
	return true
}

// next goes from one value to the one behind it, and reports false when that
// was the last.
func (s *scanner) next(end byte) bool {
	if s.broken || s.end(end) {
		return false
	}
	s.broken = !s.take(',')
	return !s.broken
}

// skip reads a value that nobody asked for.
func (s *scanner) skip() {
	if s.broken {
		return
	}
	switch c := s.peek(); {
	case c == '"':
		_, _, ok := s.string()
		s.broken = !ok
	case c == '{':
		s.object(func([]byte) { s.skip() })
	case c == '[':
		s.array(s.skip)
	case c == '-' || isDigit(c):
		s.number()
	default:
		for _, word := range [...]string{"null", "true", "false"} {
			if s.at+len(word) <= len(s.data) && string(s.data[s.at:s.at+len(word)]) == word {
				s.at += len(word)
				return
			}
		}
		s.broken = true
	}
}

// number reads a number: RFC 8259, section 6.
func (s *scanner) number() {
	s.one('-')
	if !s.one('0') {
		s.digits()
	}
	if s.one('.') {
		s.digits()
	}
	if s.one('e') || s.one('E') {
		if !s.one('+') {
			s.one('-')
		}
		s.digits()
	}
}

// one skips the character if it is the very next one.
func (s *scanner) one(c byte) bool {
	if s.at == len(s.data) || s.data[s.at] != c {
		return false
	}
	s.at++
	return true
}

// digits skips digits, of which there must be one.
func (s *scanner) digits() {
	start := s.at
	for s.at < len(s.data) && isDigit(s.data[s.at]) {
		s.at++
	}
	s.broken = s.broken || s.at == start
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// text reads a value: a text takes a string or a number, and leaves the rest
// empty.
func (s *scanner) text() text {
	if s.broken {
		return ""
	}
	switch c := s.peek(); {
	case c == '"':
		raw, _, ok := s.string()
		if !ok {
			s.broken = true
			return ""
		}
		return unquoted(raw)
	case c == '-' || isDigit(c):
		start := s.at
		s.number()
		return text(s.data[start:s.at])
	}
	s.skip()
	return ""
}

// texts reads a value: of an array, what is a text and not empty.
func (s *scanner) texts() (all []string) {
	s.array(func() {
		if t := s.text(); t != "" {
			all = append(all, string(t))
		}
	})
	return all
}

// dictionary reads a value: an object of texts, or Cinder's list of
// {"key", "value"}.
func (s *scanner) dictionary() (d dictionary) {
	if s.peek() == '[' {
		s.array(func() {
			var k, v text
			s.object(func(key []byte) {
				switch string(key) {
				case "key":
					k = s.text()
				case "value":
					v = s.text()
				default:
					s.skip()
				}
			})
			d.set(string(k), string(v))
		})
		return d
	}
	s.object(func(key []byte) { d.set(string(key), string(s.text())) })
	return d
}

// problem says where the text is no JSON, in words that hold nothing of it.
func (s *scanner) problem() string {
	if s.at >= len(s.data) {
		return "the JSON is cut short"
	}
	return fmt.Sprintf("not JSON, at byte %d", s.at+1)
}

// key reads a member's key.
func (s *scanner) key() (key []byte, ok bool) {
	raw, _, ok := s.string()
	if !ok || isPlain(raw) {
		return raw, ok
	}
	return []byte(unquote(raw)), true
}

// unquoted is the text that a JSON string stands for, without NUL characters:
// PostgreSQL cannot store them.
func unquoted(raw []byte) text {
	if isPlain(raw) { // as nearly all are
		return text(raw)
	}
	return text(strings.ReplaceAll(unquote(raw), "\x00", ""))
}

// unquote leaves escapes and what is no UTF-8 to encoding/json. raw is the
// inside of a valid string.
func unquote(raw []byte) (s string) {
	quoted := append(append([]byte{'"'}, raw...), '"')
	_ = json.Unmarshal(quoted, &s) // it is valid
	return s
}

// isPlain reports whether a JSON string stands for itself: ASCII without
// escapes.
func isPlain(s []byte) bool {
	for _, c := range s {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// string reads a string and returns it as it is written, without its quotes,
// and whether it has a \u escape, or a \\ before a u, which is one for whoever
// reads the string as JSON. It is false where encoding/json would find fault
// with the string.
func (s *scanner) string() (raw []byte, unicode, ok bool) {
	if !s.take('"') {
		return nil, false, false
	}
	text := s.data[s.at:]
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
