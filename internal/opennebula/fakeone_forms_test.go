package opennebula_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The fake front-end answers the recorded requests with the recorded answers,
// byte for byte: a success, a document, each kind of error, a fault.
func TestFakeFrontEndAnswersAsRecorded(t *testing.T) {
	t.Parallel()
	f := newFakeOne(t)
	f.sessions["oneadmin:PASSWORD"], f.sessions["alice:PASSWORD"] = 0, 2
	f.clock, f.next["image"] = 1795387693, 20
	for _, name := range []string{
		"image_allocate_source", "image_allocate_source_skipcap", "image_info_adopted", "image_allocate_source_nosize", "image_allocate_source_noformat",
		"image_allocate_source_and_path", "image_allocate_source_dup_name", "image_allocate_source_nonexistent_rbd", "image_allocate_source_as_user",
		"image_chown", "image_info_adopted_chowned", "image_allocate_system_ds", "vm_info_nonexistent", "vm_action_bad_action", "acct_nonexistent",
	} {
		f.answersAsRecorded(t, name)
	}
	delete(f.sessions, "oneadmin:PASSWORD") // the session was a wrong one
	f.answersAsRecorded(t, "vm_info_bad_auth")
}

func (f *fakeOne) answersAsRecorded(t *testing.T, name string) {
	t.Helper()
	request, err := os.ReadFile(filepath.Join("testdata", "xmlrpc", name+".request.xml"))
	if err != nil {
		t.Fatal(err)
	}
	got, status := f.serve(strings.NewReader(string(request)))
	if want := recorded(t, name); got != want || status != 200 {
		t.Errorf("%s: status %d\n%s\nbut recorded\n%s", name, status, got, want)
	}
}

// The hooks that were made for the recordings look as recorded.
func TestFakeFrontEndHasHooksAsRecorded(t *testing.T) {
	t.Parallel()
	f := newFakeOne(t)
	b, err := os.ReadFile(filepath.Join("testdata", "xmlrpc", "hook_allocate.json"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	if err := json.Unmarshal(b, &texts); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		f.perform(0, oneCall{method: "one.hook.allocate", args: []string{text}})
	}
	if got, want := f.perform(0, oneCall{method: "one.hookpool.info", args: []string{"-2", "-1", "-1"}}), recorded(t, "hookpool_info"); got != want {
		t.Errorf("%s\nbut recorded\n%s", got, want)
	}
}

// A VM of the fake has no element that a recorded VM with an adopted image has
// not, and those of the VM itself are in the same order.
func TestFakeFrontEndHasVMsAsRecorded(t *testing.T) {
	t.Parallel()
	f := newFakeOne(t)
	f.images[20] = &oneImage{id: 20, state: 1, persistent: true}
	text := "<TEMPLATE><NAME>n</NAME><CPU>1</CPU><VCPU>1</VCPU><MEMORY>1</MEMORY><OS><BOOT>disk0</BOOT></OS><DISK><IMAGE_ID>20</IMAGE_ID></DISK><GRAPHICS><TYPE>VNC</TYPE><LISTEN>127.0.0.1</LISTEN></GRAPHICS>" +
		"<NIC><NETWORK_ID>0</NETWORK_ID></NIC><CONTEXT><NETWORK>YES</NETWORK></CONTEXT></TEMPLATE>"
	f.perform(0, oneCall{method: "one.vm.allocate", args: []string{text, "1"}})
	if f.vms[0] == nil {
		t.Fatal("no VM was made")
	}
	have, want := pathsOf(t, f.vmDoc(f.vms[0])), pathsOf(t, recordedDoc(t, "vm_info_adopted_disk"))
	at := 0
	for _, path := range have {
		if strings.Count(path, "/") < 2 {
			if n := slices.Index(want[at:], path); n < 0 {
				t.Errorf("%s is not recorded, or in another place", path)
			} else {
				at += n
			}
		} else if !slices.Contains(want, path) {
			t.Errorf("%s is not recorded", path)
		}
	}
}

// pathsOf are the paths of a document's elements, each once, in order.
func pathsOf(t *testing.T, doc string) []string {
	t.Helper()
	var paths, stack []string
	seen := map[string]bool{}
	for d := xml.NewDecoder(strings.NewReader(doc)); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return paths
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			stack = append(stack, e.Name.Local)
			if p := strings.Join(stack, "/"); !seen[p] {
				seen[p] = true
				paths = append(paths, p)
			}
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		}
	}
}

// attributes are those of a hook.
func (h *oneHook) attributes() map[string]string {
	m := map[string]string{}
	for _, a := range h.attrs {
		m[a.name] = a.value
	}
	return maps.Clone(m)
}
