package opennebula_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// cloud is the name under which the tests decode.
const cloud = "one"

// The recordings in testdata are of an OpenNebula 7.4.0 with Ceph datastores:
// ZeroMQ frames (zmq), what hook scripts got (hooks: argv, NUL-separated, and
// stdin), and XML-RPC answers. The numbers give the order of time.

// body returns the message in a recorded file, as a hook script would post it.
func body(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case strings.HasSuffix(name, ".argv"):
		// The arguments of the script; the message is the longest.
		return slices.MaxFunc(bytes.Split(b, []byte{0}), func(a, b []byte) int { return len(a) - len(b) })
	case strings.HasSuffix(name, ".response.xml"):
		// The object is the string in the answer, escaped.
		var answer struct {
			Objects []string `xml:"params>param>value>array>data>value>string"`
		}
		if err := xml.Unmarshal(b, &answer); err != nil || len(answer.Objects) != 1 {
			t.Fatalf("%s: %d strings, %v", name, len(answer.Objects), err)
		}
		return []byte(answer.Objects[0])
	}
	return b
}

// document returns the XML in a body.
func document(t testing.TB, b []byte) string {
	t.Helper()
	if bytes.HasPrefix(b, []byte("<")) {
		return string(b)
	}
	doc, err := base64.StdEncoding.DecodeString(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// object is the VM or IMAGE element alone, as a state hook gets it.
func object(t testing.TB, b []byte) string {
	t.Helper()
	doc := document(t, b)
	for _, name := range []string{"VM", "IMAGE"} {
		from, to := strings.Index(doc, "<"+name+">"), strings.LastIndex(doc, "</"+name+">")
		if from >= 0 && to > from {
			return doc[from : to+len("</"+name+">")]
		}
	}
	t.Fatal("no VM or IMAGE in the message")
	return ""
}

func decode(t testing.TB, b []byte) []quarantine.Deletion {
	t.Helper()
	got, err := opennebula.Decode(cloud, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range got {
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// merged joins all that the bodies report, by id, in the order of the first
// report.
func merged(t testing.TB, bodies [][]byte) []quarantine.Deletion {
	t.Helper()
	var out []quarantine.Deletion
	for _, b := range bodies {
		for _, d := range decode(t, b) {
			i := slices.IndexFunc(out, func(o quarantine.Deletion) bool { return o.ID == d.ID })
			if i < 0 {
				out = append(out, d)
			} else {
				out[i] = quarantine.Merge(out[i], d)
			}
		}
	}
	return out
}

// line writes what matters of a Deletion. After a disk's name "*" means a
// prefix and "!" that it is required.
func line(d quarantine.Deletion) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s %s %s (%s/%s)", d.Kind, d.ResourceKind, d.ResourceID, d.ResourceName, d.Project.Name, d.User.Name)
	if d.Deleter.Label() != "" {
		fmt.Fprintf(&b, " by %s", d.Deleter.Label())
	}
	if d.Host != "" {
		fmt.Fprintf(&b, " on %s", d.Host)
	}
	if !d.StartedAt.IsZero() {
		fmt.Fprintf(&b, " from %s", d.StartedAt.Format("15:04:05"))
	}
	if !d.EndedAt.IsZero() {
		fmt.Fprintf(&b, " to %s", d.EndedAt.Format("15:04:05"))
	}
	b.WriteString(":")
	for _, r := range d.Disks {
		fmt.Fprintf(&b, " %s/%s", r.Pool, r.Name)
		if r.Prefix {
			b.WriteString("*")
		}
		if r.Required {
			b.WriteString("!")
		}
		fmt.Fprintf(&b, "(%s)", r.Role)
	}
	return b.String()
}

func lines(ds []quarantine.Deletion) []string {
	out := make([]string, len(ds))
	for i, d := range ds {
		out[i] = line(d)
	}
	return out
}
