package openstack

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// agree proves that the scanner takes for JSON what encoding/json takes, and
// reads the same texts from it.
func agree(t *testing.T, data []byte) {
	t.Helper()
	s := &scanner{data: data}
	s.skip()
	valid := !s.broken && s.atEnd()
	if valid != json.Valid(data) {
		t.Fatalf("valid: %v, encoding/json says %v: %q", valid, !valid, data)
	}
	s = &scanner{data: data}
	got := map[string]text{}
	if whole := s.object(func(key []byte) { got[string(key)] = s.text() }); whole && (!s.broken && s.atEnd()) != valid {
		t.Fatalf("read as an object it is valid: %v, else %v: %q", !valid, valid, data)
	}
	if !valid {
		return
	}
	want := map[string]text{}
	for k, v := range readByLibrary(data) {
		switch v := v.(type) {
		case string:
			want[k] = text(strings.ReplaceAll(v, "\x00", ""))
		case json.Number:
			want[k] = text(v)
		default:
			want[k] = ""
		}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("read %q, want %q: %q", got, want, data)
	}
}

// readByLibrary returns the members of an object, none of anything else.
func readByLibrary(data []byte) (m map[string]any) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&m) != nil {
		return nil
	}
	return m
}

// TestScanner proves it for JSON and what is nearly JSON.
func TestScanner(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, text := range []string{
		"", " ", "{", "}", "{}", " { } ", "[]", "[ ]", "[,]", "[1,]", "[1 2]", "[1,2]x", "[1]]", "{,}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`, `{a:1}`, `{1:1}`,
		`{"a":1,"a":"b"}`, `{"a":-1.5e7}`, `{"a":{"b":[1,{"c":null}]},"d":"e"}`, `{"\u0061\n":"\ud83d\ude00","b":"\ud800","c":"x\u0000y"}`, "{\"\xff\":\"\xfe\"}", "{\"a\":\"\x01\"}",
		"null", "nul", "nulll", "true", "false", "True", "truefalse", "0", "-0", "-", "01", "1.", ".1", "1.5e", "1e+", "1E-7", "-1.25e+10", "+1", "1e5.5", "0x1", "NaN",
		`"`, `"a`, `"a"`, `"\`, `"\"`, `"\x"`, `"\u12"`, `"\u12g4"`, "\x00", "1\x00", "\v1", "{\x00}", deep(maxNesting), deep(maxNesting + 1), "\ufeff{}",
	} {
		agree(t, []byte(text))
	}
	for _, scenario := range scenarios(t) {
		for _, r := range recording(t, scenario) {
			agree(t, []byte(r.Body))
		}
	}
}

// FuzzScanner proves it for any text.
func FuzzScanner(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,{"c":null}]},"d":"\u00e9","e":-1.5e+7}`))
	for _, scenario := range scenarios(f) {
		for _, r := range recording(f, scenario)[:2] {
			if inner, err := unwrap(r.Body); err == nil {
				f.Add(inner)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { agree(t, data) })
}

// TestKeysAreExact proves that a key counts as it is written: a key that differs
// in its letters' case, or that a user chose, stands for nothing else.
func TestKeysAreExact(t *testing.T) {
	t.Parallel()
	m := event(t, "normal-delete", "027")
	want := one(t, m)
	payload(m)["Instance_ID"], payload(m)["HOST"], m["Timestamp"], m["PAYLOAD"] = "x", "y", "z", "p"
	if got := one(t, m); !got.Equal(want) {
		t.Errorf("got %s", describe(got))
	}
}

// TestBufferIsUsedAgain proves that what one message gave is not changed by the
// next one that is decoded.
func TestBufferIsUsedAgain(t *testing.T) {
	t.Parallel()
	d := decoder{cloud: cloudName}
	for _, scenario := range scenarios(t) {
		for _, r := range recording(t, scenario) {
			got, err := d.decode(r.Body, peek(r.Body).envelope)
			if err != nil {
				t.Fatal(err)
			}
			before, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			clear(d.buffer[:cap(d.buffer)])
			if after, err := json.Marshal(got); err != nil || !bytes.Equal(before, after) {
				t.Errorf("%s/%s: %s is now %s, %v", scenario, r.File, before, after, err)
			}
		}
	}
}
