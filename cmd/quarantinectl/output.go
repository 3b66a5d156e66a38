package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// The forms of output.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

// print writes an answer in the form that was asked for. JSON and YAML have
// the names of the wire; table writes for people.
func (a *app) print(v any, table func(w *page)) error {
	var out []byte
	switch a.output {
	case outputTable:
		p := &page{width: a.screen.width}
		table(p)
		out = p.Bytes()
	default:
		b, err := encodeJSON(v)
		if err == nil && a.output == outputYAML {
			b, err = encodeYAML(b)
		}
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		out = b
	}
	return write(a.stdout, out)
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// encodeYAML translates JSON, with the same names in the same order.
func encodeYAML(b []byte) ([]byte, error) {
	var v any
	if err := yaml.UnmarshalWithOptions(b, &v, yaml.UseOrderedMap()); err != nil {
		return nil, err
	}
	return yaml.MarshalWithOptions(v, yaml.IndentSequence(true), yaml.CustomMarshaler(encodeString))
}

// encodeString quotes what the library does not and should: what a terminal
// would obey, and what others read as a number, such as the id 1234e5678.
func encodeString(s string) ([]byte, error) {
	first, _ := utf8.DecodeRuneInString(s)
	if unicode.IsLetter(first) && printable(s) == s {
		return yaml.Marshal(s)
	}
	return json.Marshal(s)
}

func write(w io.Writer, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
