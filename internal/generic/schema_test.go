package generic_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"quarantine/internal/generic"
)

// example is the JSON in the package's comment.
func example(t testing.TB) string {
	t.Helper()
	src, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var block []string
	for line := range strings.Lines(file.Doc.Text()) {
		if rest, ok := strings.CutPrefix(line, "\t"); ok {
			block = append(block, rest)
		}
	}
	return strings.Join(block, "")
}

// The schema is JSON, and every name that it refers to is there.
func TestSchemaIsWhole(t *testing.T) {
	t.Parallel()
	for ref := range references(schema(t)) {
		if _, ok := defs(t)[strings.TrimPrefix(ref, "#/$defs/")]; !ok {
			t.Errorf("%s is nowhere", ref)
		}
	}
	if s := generic.Schema(); len(s) > 0 {
		s[0] = 'x'
		if bytes.Equal(s, generic.Schema()) {
			t.Error("Schema hands out its own copy")
		}
	}
}

// The decoder knows exactly the keys that the schema has: it accepts each, and
// names them all when it meets an unknown one. They stand in the same order.
func TestSchemaAndDecoderAgreeOnKeys(t *testing.T) {
	t.Parallel()
	for def, body := range map[string]string{
		"deletion":  `{"resource_id":"v","unknown":1}`,
		"disk":      `{"disks":[{"unknown":1}]}`,
		"address":   `{"addresses":[{"unknown":1}]}`,
		"principal": `{"user":{"unknown":1}}`,
	} {
		_, err := generic.Decode(cloud, []byte(body))
		if err == nil {
			t.Fatalf("%s: an unknown key is accepted", def)
		}
		_, known, _ := strings.Cut(err.Error(), "known are ")
		if got, want := strings.Split(known, ", "), keysInOrder(t, def); !slices.Equal(got, want) {
			t.Errorf("%s: the decoder knows\n%q\nthe schema\n%q", def, got, want)
		}
	}
}

// The example has every key of the schema, so that it stays complete, and
// satisfies it.
func TestExampleIsCompleteAndValid(t *testing.T) {
	t.Parallel()
	var v map[string]any
	if err := json.Unmarshal([]byte(example(t)), &v); err != nil {
		t.Fatalf("%v in\n%s", err, example(t))
	}
	if err := check(t, schema(t), v); err != nil {
		t.Error(err)
	}
	got := slices.Sorted(maps.Keys(v))
	want := keysInOrder(t, "deletion")
	want = slices.DeleteFunc(want, func(k string) bool { return k == "server_id" }) // of volumes only
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the example has\n%q\nthe schema\n%q", got, want)
	}
}

// The schema refuses what the decoder refuses wherever a schema can say it,
// and accepts what it accepts: bounds, choices, required keys.
func TestSchemaAndDecoderAgreeOnValues(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("ä", n) }
	list := func(item string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	with := func(s string, args ...any) string {
		return `{"resource_id":"v","request_id":"r","disks":[{"name":"x"}],` + fmt.Sprintf(s, args...) + `}`
	}
	bodies := map[string]bool{
		`{}`:                  false,
		`[]`:                  false,
		`{"deletions":[]}`:    false,
		`{"resource_id":"v"}`: false,
		`{"resource_id":"","disks":[{"name":"x"}]}`:                        false,
		`{"resource_id":"v","disks":[]}`:                                   false,
		`{"resource_id":"v","disks":[{}]}`:                                 false,
		`{"resource_id":"v","disks":[{"name":""}]}`:                        false,
		`{"resource_id":"v","disks":[{"name":"a/b"}]}`:                     false,
		`{"resource_id":"v","disks":[{"name":"` + text(256) + `"}]}`:       true,
		`{"resource_id":"v","disks":[{"name":"` + text(257) + `"}]}`:       false,
		`{"resource_id":"v","disks":[{"pool":"","name":"x"}]}`:             true,
		`{"resource_id":"v","disks":` + list(`{"name":"x"}`, 1000) + `}`:   true,
		`{"resource_id":"v","disks":` + list(`{"name":"x"}`, 1001) + `}`:   false,
		`{"deletions":` + list(with(`"host":"h"`), 1000) + `}`:             true,
		`{"deletions":` + list(with(`"host":"h"`), 1001) + `}`:             false,
		`{"resource_id":"` + text(257) + `","disks":[{"name":"x"}]}`:       false,
		with(`"kind":"nothing"`):                                           false,
		with(`"resource_kind":"nothing"`):                                  false,
		with(`"host":%q`, text(256)):                                       true,
		with(`"host":%q`, text(257)):                                       false,
		with(`"host":null`):                                                false,
		with(`"created_at":""`):                                            true,
		with(`"created_at":"2026-03-02T10:11:12Z"`):                        true,
		with(`"created_at":7`):                                             false,
		with(`"tags":%s`, list(`"a"`, 64)):                                 true,
		with(`"tags":%s`, list(`"a"`, 65)):                                 false,
		with(`"tags":[""]`):                                                false,
		with(`"addresses":%s`, list(`"::1"`, 256)):                         true,
		with(`"addresses":%s`, list(`"::1"`, 257)):                         false,
		with(`"addresses":[""]`):                                           false,
		with(`"addresses":[{"ip":"::1","mac":"","network":""}]`):           true,
		with(`"addresses":[7]`):                                            false,
		with(`"metadata":{"":"x"}`):                                        false,
		with(`"metadata":{%q:%q}`, text(128), text(1024)):                  true,
		with(`"metadata":{%q:""}`, text(129)):                              false,
		with(`"metadata":{"k":%q}`, text(1025)):                            false,
		with(`"metadata":{%s}`, numbered(64)):                              true,
		with(`"metadata":{%s}`, numbered(65)):                              false,
		with(`"user":""`):                                                  true,
		with(`"user":{}`):                                                  true,
		with(`"user":{"id":%q}`, text(257)):                                false,
		with(`"user":%q`, text(257)):                                       false,
		with(`"user":[]`):                                                  false,
		`{"resource_id":"v","disks":[{"name":"x","role":"nothing"}]}`:      false,
		`{"resource_id":"v","disks":[{"name":"x","role":""}]}`:             true,
		`{"resource_id":"v","disks":[{"name":"x","prefix":"true"}]}`:       false,
		`{"resource_id":"v","disks":[{"name":"x"}],"unknown":"x"}`:         false,
		`{"resource_id":"v","disks":[{"name":"x","unknown":"x"}]}`:         false,
		`{"deletions":[{"resource_id":"v","disks":[{"name":"x"}]}],"a":1}`: false,
	}
	for body, want := range bodies {
		short := body[:min(len(body), 100)]
		if _, err := generic.Decode(cloud, []byte(body)); (err == nil) != want {
			t.Errorf("the decoder on %s: %v, want accepted %t", short, err, want)
		}
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatalf("%s: %v", short, err)
		}
		if err := check(t, schema(t), v); (err == nil) != want {
			t.Errorf("the schema on %s: %v, want accepted %t", short, err, want)
		}
	}
}

// The choices of the schema are those that the decoder names when it refuses
// one, and each is accepted.
func TestSchemaAndDecoderAgreeOnChoices(t *testing.T) {
	t.Parallel()
	for property, format := range map[string]string{
		"kind": `{"kind":%q,"resource_id":"v","request_id":"r","disks":[{"name":"x"}]}`,
		"role": `{"resource_id":"v","disks":[{"name":"x","role":%q}]}`,
	} {
		def := map[string]string{"kind": "deletion", "role": "disk"}[property]
		var want []string
		for _, v := range definition(t, def)["properties"].(map[string]any)[property].(map[string]any)["enum"].([]any) {
			if _, err := generic.Decode(cloud, fmt.Appendf(nil, format, v)); err != nil {
				t.Error(err)
			}
			if v != "" {
				want = append(want, v.(string))
			}
		}
		_, err := generic.Decode(cloud, fmt.Appendf(nil, format, "nothing"))
		if err == nil {
			t.Fatalf("the %s nothing is accepted", property)
		}
		_, list, _ := strings.Cut(err.Error(), "expected one of ")
		got := strings.Split(strings.TrimSuffix(list, `, got "nothing"`), ", ")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the decoder knows\n%q\nthe schema\n%q", property, got, want)
		}
	}
}

func numbered(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`"k%d":""`, i))
	}
	return strings.Join(out, ",")
}

func schema(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(generic.Schema(), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func defs(t testing.TB) map[string]any { return schema(t)["$defs"].(map[string]any) }

func definition(t testing.TB, name string) map[string]any { return defs(t)[name].(map[string]any) }

// keysInOrder are the property names of a definition, as they stand in the
// file.
func keysInOrder(t testing.TB, def string) []string {
	t.Helper()
	d := definition(t, def)
	if variants, ok := d["oneOf"].([]any); ok {
		d = variants[len(variants)-1].(map[string]any)
	}
	names := slices.Collect(maps.Keys(d["properties"].(map[string]any)))
	text := string(generic.Schema())
	text = text[strings.Index(text, `"`+def+`": {`):]
	text = text[strings.Index(text, `"properties"`):]
	slices.SortFunc(names, func(a, b string) int {
		return strings.Index(text, `"`+a+`": {`) - strings.Index(text, `"`+b+`": {`)
	})
	return names
}

// references are the targets of all $ref.
func references(v any) map[string]bool {
	out := map[string]bool{}
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok && k == "$ref" {
				out[s] = true
			}
			maps.Copy(out, references(x))
		}
	case []any:
		for _, x := range v {
			maps.Copy(out, references(x))
		}
	}
	return out
}

// check validates a value by the keywords that the schema uses; a keyword
// that it does not know fails the test, so that none is silently ignored.
func check(t testing.TB, s map[string]any, v any) error {
	t.Helper()
	number := func(x any) int { return int(x.(float64)) }
	text, isText := v.(string)
	object, isObject := v.(map[string]any)
	items, isList := v.([]any)
	for keyword, arg := range s {
		ok := true
		switch keyword {
		case "$schema", "$id", "$defs", "title", "description", "default", "format":
		case "$ref":
			if err := check(t, definition(t, strings.TrimPrefix(arg.(string), "#/$defs/")), v); err != nil {
				return err
			}
		case "oneOf", "anyOf":
			n := 0
			for _, variant := range arg.([]any) {
				if check(t, variant.(map[string]any), v) == nil {
					n++
				}
			}
			ok = n == 1 || n > 0 && keyword == "anyOf"
		case "type":
			_, isBool := v.(bool)
			ok = map[string]bool{"string": isText, "object": isObject, "array": isList, "boolean": isBool}[arg.(string)]
		case "enum":
			ok = slices.ContainsFunc(arg.([]any), func(x any) bool { return reflect.DeepEqual(x, v) })
		case "const":
			ok = reflect.DeepEqual(arg, v)
		case "minLength":
			ok = !isText || utf8.RuneCountInString(text) >= number(arg)
		case "maxLength":
			ok = !isText || utf8.RuneCountInString(text) <= number(arg)
		case "pattern":
			ok = !isText || regexp.MustCompile(arg.(string)).MatchString(text)
		case "minItems":
			ok = !isList || len(items) >= number(arg)
		case "maxItems":
			ok = !isList || len(items) <= number(arg)
		case "items":
			for _, item := range items {
				if err := check(t, arg.(map[string]any), item); err != nil {
					return err
				}
			}
		case "required":
			for _, key := range arg.([]any) {
				_, has := object[key.(string)]
				ok = ok && (has || !isObject)
			}
		case "maxProperties":
			ok = len(object) <= number(arg)
		case "properties":
			for key, sub := range arg.(map[string]any) {
				if member, has := object[key]; has {
					if err := check(t, sub.(map[string]any), member); err != nil {
						return fmt.Errorf("%s: %w", key, err)
					}
				}
			}
		case "propertyNames":
			for key := range object {
				if err := check(t, arg.(map[string]any), key); err != nil {
					return err
				}
			}
		case "additionalProperties":
			known, _ := s["properties"].(map[string]any)
			for key, member := range object {
				if _, has := known[key]; has {
					continue
				}
				sub, is := arg.(map[string]any)
				if !is {
					return fmt.Errorf("unknown key %q", key)
				}
				if err := check(t, sub, member); err != nil {
					return err
				}
			}
		default:
			t.Fatalf("the schema uses %s, which this test does not know", keyword)
		}
		if !ok {
			return fmt.Errorf("%s: %v", keyword, arg)
		}
	}
	return nil
}
