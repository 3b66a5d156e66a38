package main

import (
	"bytes"
	"testing"
	"unicode"

	"github.com/goccy/go-yaml"
)

// What is printed as YAML is read back as it was, has nothing in it that a
// terminal obeys, and no string looks like something else to another reader.
func TestYAMLKeepsStrings(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "web-1", "3fa1c09be2d47a55", "1234e5678", "1e5", "0123", "0x1f", ".inf", "inf", "nan", "true", "no", "~", "null",
		"2026-11-17", "1:30", "a: b", "a #b", "- x", "!x", "&a", "*a", "%x", "@x", "`x", "{a}", "[a]", "it's \"q\"", " lead", "trail ",
		"two\nlines", "\ttab", "\x1b[31mred", "\x00", "\x7f", "a\u00a0b", "\u0085", "\u2028", "\u202eright", "naïve", "日本", "<a&b>", `back\slash`,
	} {
		b, err := encodeJSON(map[string]any{"key": s, "list": []string{s}})
		if err == nil {
			b, err = encodeYAML(b)
		}
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		var back struct {
			Key  string
			List []string
		}
		if err := yaml.Unmarshal(b, &back); err != nil || back.Key != s || len(back.List) != 1 || back.List[0] != s {
			t.Errorf("%q became %q, which is read as %+v, %v", s, b, back, err)
		}
		if i := bytes.IndexFunc(b, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q became %q, which has a control character at %d", s, b, i)
		}
	}
}

// An id of digits and one e is quoted: other readers of YAML take it for a
// number.
func TestYAMLQuotesIDs(t *testing.T) {
	t.Parallel()
	b, err := encodeYAML([]byte(`{"id":"1234e5678","size_bytes":1099511627776,"held":true,"retain_until":"2026-12-01T14:05:02Z","holds":[],"nic":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = "id: \"1234e5678\"\nsize_bytes: 1099511627776\nheld: true\nretain_until: \"2026-12-01T14:05:02Z\"\nholds: []\nnic: {}\n"
	if string(b) != want {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
}
