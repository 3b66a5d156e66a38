package generic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// maxItems bounds every list, and the keys of metadata; where a field has a
// smaller bound it is checked later.
const maxItems = 1000

// maxValues bounds the values of a body, because short ones take more memory
// than their text. A deletion with three disks has about 40.
const maxValues = 200_000

// decoder fills structs from JSON more strictly than encoding/json: keys are
// matched exactly and may stand once, null is no value, and errors say where
// they are. It reads one token after the other, so that nothing is built of
// what is not wanted.
type decoder struct {
	d *json.Decoder
	// where is the path of the value being read, for messages.
	where []string
	// values counts what was read.
	values int
}

// fail makes an error about the value being read.
func (x *decoder) fail(format string, args ...any) error {
	path := strings.Join(x.where, "")
	if path = strings.TrimPrefix(path, "."); path == "" {
		path = "the body"
	}
	return invalidf("%s: %s", path, fmt.Sprintf(format, args...))
}

// in reads with the step added to the path.
func (x *decoder) in(step string, read func() error) error {
	x.where = append(x.where, step)
	err := read()
	x.where = x.where[:len(x.where)-1]
	return err
}

func (x *decoder) token() (json.Token, error) {
	tok, err := x.d.Token()
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return tok, nil
	case errors.As(err, &syntax):
		return nil, x.fail("bad JSON at byte %d: %s", syntax.Offset, cut(syntax.Error()))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, x.fail("the JSON ends too early")
	}
	return nil, x.fail("bad JSON: %s", cut(err.Error()))
}

// stringer is a struct that may be given as a string instead.
type stringer interface{ fromString(string) }

// value reads the next value into v, which is addressable.
func (x *decoder) value(v reflect.Value) error {
	if x.values++; x.values > maxValues {
		return x.fail("the body has more than %d values; send several", maxValues)
	}
	tok, err := x.token()
	if err != nil {
		return err
	}
	return x.from(tok, v)
}

// from reads the value that begins with the token.
func (x *decoder) from(tok json.Token, v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		s, ok := tok.(string)
		if !ok {
			return x.expected("a string", tok)
		}
		v.SetString(s)
		return nil
	case reflect.Bool:
		b, ok := tok.(bool)
		if !ok {
			return x.expected("true or false", tok)
		}
		v.SetBool(b)
		return nil
	case reflect.Slice:
		if tok != json.Delim('[') {
			return x.expected("a list", tok)
		}
		return x.list(v)
	case reflect.Map:
		if tok != json.Delim('{') {
			return x.expected("an object of strings", tok)
		}
		return x.strings(v)
	case reflect.Struct:
		if s, ok := v.Addr().Interface().(stringer); ok {
			if text, ok := tok.(string); ok {
				s.fromString(text)
				return nil
			}
			if tok != json.Delim('{') {
				return x.expected("a string or an object", tok)
			}
		}
		if tok != json.Delim('{') {
			return x.expected("an object", tok)
		}
		return x.object(v)
	}
	return x.fail("a %s cannot be read", v.Kind())
}

func (x *decoder) list(v reflect.Value) error {
	for i := 0; x.d.More(); i++ {
		if i == maxItems {
			return x.fail("has more than %d items", maxItems)
		}
		item := reflect.New(v.Type().Elem()).Elem()
		if err := x.in(fmt.Sprintf("[%d]", i), func() error { return x.value(item) }); err != nil {
			return err
		}
		v.Set(reflect.Append(v, item))
	}
	_, err := x.token() // the closing bracket
	return err
}

// strings reads the rest of an object whose values are strings.
func (x *decoder) strings(v reflect.Value) error {
	v.Set(reflect.MakeMap(v.Type()))
	return x.members(func(key string) error {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := x.value(value); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key), value)
		return nil
	})
}

// object reads the rest of an object into a struct.
func (x *decoder) object(v reflect.Value) error {
	return x.members(func(key string) error { return x.field(v, key) })
}

// field reads the next value into the field that has the key.
func (x *decoder) field(v reflect.Value, key string) error {
	for i := range v.NumField() {
		if tag(v.Type().Field(i)) == key {
			return x.value(v.Field(i))
		}
	}
	return x.fail("unknown key; known are %s", strings.Join(tags(v.Type()), ", "))
}

// members reads the members of an object up to its end.
func (x *decoder) members(read func(key string) error) error {
	seen := map[string]bool{}
	for x.d.More() {
		tok, err := x.token()
		if err != nil {
			return err
		}
		key, ok := tok.(string)
		if !ok {
			return x.expected("a key", tok)
		}
		if len(seen) == maxItems {
			return x.fail("has more than %d keys", maxItems)
		}
		err = x.in("."+cut(key), func() error {
			if seen[key] {
				return x.fail("stands twice")
			}
			seen[key] = true
			return read(key)
		})
		if err != nil {
			return err
		}
	}
	_, err := x.token() // the closing brace
	return err
}

func (x *decoder) expected(what string, tok json.Token) error {
	got := "null; leave the key out"
	switch t := tok.(type) {
	case string:
		got = "a string"
	case bool:
		got = "a boolean"
	case float64, json.Number:
		got = "a number"
	case json.Delim:
		got = "an object"
		if t == '[' {
			got = "a list"
		}
	}
	return x.fail("expected %s, got %s", what, got)
}

func tag(f reflect.StructField) string { return f.Tag.Get("json") }

func tags(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		out = append(out, tag(t.Field(i)))
	}
	return out
}

// cut shortens what is repeated from the input.
func cut(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
