package generic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"quarantine/internal/quarantine"
)

// MaxBody is the longest body that Decode reads, in bytes.
const MaxBody = 8 << 20

// Decode reads the body of a generic hook and returns the Deletions that it
// reports, under the configured name of the cloud: at least one. The package's
// comment has the format. An error wraps quarantine.ErrInvalid, names the
// field and says what was expected; then nothing of the body is valid.
func Decode(cloud string, body []byte) ([]quarantine.Deletion, error) {
	if len(body) > MaxBody {
		return nil, invalidf("the body has %d bytes, more than %d", len(body), MaxBody)
	}
	batch, err := parse(body)
	if err != nil {
		return nil, err
	}
	out := make([]quarantine.Deletion, len(batch.Deletions))
	for i, in := range batch.Deletions {
		d, field, err := in.deletion(cloud)
		if err != nil {
			if batch.many {
				field = fmt.Sprintf("deletions[%d].%s", i, field)
			}
			return nil, invalidf("%s: %v", field, err)
		}
		out[i] = d
	}
	return out, nil
}

type batch struct {
	batchJSON
	// many says that the body was a list; its paths begin differently.
	many bool
}

// parse reads the one or the many deletions of a body.
func parse(body []byte) (batch, error) {
	x := &decoder{d: json.NewDecoder(bytes.NewReader(body))}
	x.d.UseNumber()
	tok, err := x.token()
	if err != nil {
		return batch{}, err
	}
	if tok != json.Delim('{') {
		return batch{}, x.expected("an object", tok)
	}
	// Which of the two it is, the first key tells.
	var b batch
	var one deletionJSON
	first := true
	err = x.members(func(key string) error {
		if first {
			b.many, first = key == "deletions", false
		}
		if b.many != (key == "deletions") {
			return x.fail("does not go together with the key deletions")
		}
		if b.many {
			return x.value(reflect.ValueOf(&b.Deletions).Elem())
		}
		return x.field(reflect.ValueOf(&one).Elem(), key)
	})
	if err != nil {
		return batch{}, err
	}
	if _, err := x.d.Token(); !errors.Is(err, io.EOF) {
		return batch{}, invalidf("the body: more follows after the object")
	}
	if !b.many {
		b.Deletions = []deletionJSON{one}
	}
	if len(b.Deletions) == 0 {
		return batch{}, invalidf("deletions: expected at least one")
	}
	return b, nil
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: generic: %s", quarantine.ErrInvalid, fmt.Sprintf(format, args...))
}
