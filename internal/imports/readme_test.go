package imports_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"quarantine/internal/cephcaps"
)

// The caps that the README shows are those that the program prints: the same
// clauses, with each list of prefixes written out.
func TestReadmeShowsTheCaps(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for entity, want := range map[string]cephcaps.Caps{
		"client.openstack":  cephcaps.CloudCaps([]string{"P"}, "images"),
		"client.quarantine": cephcaps.QuarantineCaps("P"),
	} {
		_, block, ok := strings.Cut(string(b), "\n    "+entity+" ")
		block, _, ended := strings.Cut(block, "\n\n")
		if !ok || !ended {
			t.Fatalf("the README has no caps of %s", entity)
		}
		got := map[string][]string{}
		kind := ""
		for line := range strings.Lines(block) {
			words := strings.Fields(line)
			if len(words) > 1 && slices.Contains([]string{"mon", "mgr", "osd"}, words[0]) {
				kind, words = words[0], words[1:]
			}
			text, _, _ := strings.Cut(strings.Join(words, " "), " (")
			if !strings.HasPrefix(text, "allow ") && !strings.HasPrefix(text, "profile ") {
				// The prefixes of the clause before.
				last := got[kind][len(got[kind])-1]
				if pattern, ok := strings.CutSuffix(last, " X"); ok {
					got[kind] = got[kind][:len(got[kind])-1]
					for _, x := range words {
						if x != "X:" {
							got[kind] = append(got[kind], pattern+" "+x)
						}
					}
				} else {
					for _, x := range words {
						got[kind] = append(got[kind], last[:strings.LastIndex(last, " ")+1]+x)
					}
				}
				continue
			}
			got[kind] = append(got[kind], text)
		}
		for kind, caps := range map[string]string{"mon": want.Mon, "mgr": want.Mgr, "osd": want.OSD} {
			if shown := strings.Join(got[kind], ", "); shown != caps {
				t.Errorf("%s %s\nthe README shows %s\nthe program      %s", entity, kind, shown, caps)
			}
		}
	}
}
