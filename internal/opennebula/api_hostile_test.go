package opennebula_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// What a tenant can write into a VM costs nobody the listing: each VM is told
// for itself, and no other for it.
func TestLivingHostileVMs(t *testing.T) {
	t.Parallel()
	cdata := func(s string) string { return "<USER_TEMPLATE><A><![CDATA[" + s + "]]></A></USER_TEMPLATE>" }
	for name, more := range map[string]string{
		"the end of the VM":        cdata("</VM><VM><ID>1</ID></VM>"),
		"the end of the pool":      cdata("</VM_POOL>"),
		"an element called VM":     "<USER_TEMPLATE><VM><![CDATA[x]]></VM><VM_POOL><VM><ID>9</ID></VM></VM_POOL></USER_TEMPLATE>",
		"a comment":                "<!-- </VM> -->" + cdata("<!-- "),
		"an instruction":           "<?x </VM> ?>",
		"half an entity":           cdata("& &x; &#1; &amp;"),
		"markup, escaped":          "<USER_TEMPLATE><A>&lt;/VM&gt;&lt;VM&gt;</A></USER_TEMPLATE>",
		"a greater sign":           "<USER_TEMPLATE><A b='>' c=\"</VM>\">x</A></USER_TEMPLATE>",
		"control characters":       cdata("a\x00\x01\x08\x0b\x0c\x1f\x7fb"),
		"no UTF-8":                 cdata("\xff\xfe\xc3("),
		"runes that are none":      cdata("\uffff\ufffe\ufffd"),
		"a document type":          cdata("<!DOCTYPE x [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"),
		"many elements":            "<USER_TEMPLATE>" + strings.Repeat("<A/>", 100_000) + "</USER_TEMPLATE>",
		"many attributes":          "<USER_TEMPLATE><A " + strings.Repeat(`a="" `, 100_000) + "/></USER_TEMPLATE>",
		"many equals signs":        cdata(strings.Repeat("=", 100_000)),
		"many disks":               "<TEMPLATE>" + strings.Repeat("<DISK/>", 100_000) + "</TEMPLATE>",
		"many records":             "<HISTORY_RECORDS>" + strings.Repeat("<HISTORY/>", 100_000) + "</HISTORY_RECORDS>",
		"a long name":              "<TEMPLATE><" + strings.Repeat("a", 100_000) + "/></TEMPLATE>",
		"deep":                     "<TEMPLATE>" + strings.Repeat("<A>", 5_000) + strings.Repeat("</A>", 5_000) + "</TEMPLATE>",
		"what looks like an error": cdata("<fault><value>x</value></fault>"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vms := []string{vmOf(3, ""), vmOf(2, more), vmOf(1, "")}
			f := newReplay(t, func(c asked) string {
				if a := noImages(c); a != "" {
					return a
				}
				return pageOf(t, "VM_POOL", vms, c)
			})
			got, err := collected(func(each func(quarantine.Deletion) error) error {
				return newAPI(t, f.url, nil).Living(t.Context(), each)
			})
			if err != nil || len(got) != 3 {
				t.Fatalf("got %q, %v", lines(got), err)
			}
			for i, d := range got {
				if want := fmt.Sprintf("delete of vm %[1]d vm%[1]d (experiment/alice)", i+1); !strings.HasPrefix(line(d), want) {
					t.Errorf("got %q, want %q", line(d), want)
				}
				for _, v := range d.Metadata {
					if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
						t.Errorf("control characters are kept: %q", v)
					}
				}
			}
		})
	}
}

// A name is data, whatever is in it.
func TestLivingHostileNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"<![CDATA[</NAME><UID>0</UID>]]>":           "</NAME><UID>0</UID>",
		"&lt;script&gt;alert(1)&lt;/script&gt;":     "<script>alert(1)</script>",
		"a\x1b[31m":                                 "a?[31m",
		"<UID>0</UID>":                              "",
		strings.Repeat("é", 1000):                   strings.Repeat("é", 128),
		"'; DROP TABLE disks; --":                   "'; DROP TABLE disks; --",
		"${jndi:ldap://127.0.0.1/}\u202e\u0000gpj.": "${jndi:ldap://127.0.0.1/}\u202e?gpj.",
	} {
		vm := strings.Replace(vmOf(2, ""), "vm2", name, 1)
		f := newReplay(t, func(c asked) string {
			if a := noImages(c); a != "" {
				return a
			}
			return pageOf(t, "VM_POOL", []string{vm, vmOf(1, "")}, c)
		})
		got, err := collected(func(each func(quarantine.Deletion) error) error {
			return newAPI(t, f.url, nil).Living(t.Context(), each)
		})
		i := slices.IndexFunc(got, func(d quarantine.Deletion) bool { return d.ResourceID == "2" })
		if err != nil || len(got) != 2 || got[i].ResourceName != want || got[i].User.ID != "2" {
			t.Errorf("%.60q: got %q, %v, want %q", name, lines(got), err, want)
		}
	}
}

// OpenNebula does not escape the end of CDATA: what a tenant writes can have
// elements in it that seem to be the VM's own. They are not believed, in a hook's
// message or in an answer: the VM's own word comes first, and of the history last.
func TestForgedIdentity(t *testing.T) {
	t.Parallel()
	const forged = "<A><![CDATA[]]></A></USER_TEMPLATE>" +
		"<ID>5</ID><UID>0</UID><GID>0</GID><UNAME>oneadmin</UNAME><GNAME>oneadmin</GNAME><NAME>other</NAME><STATE>3</STATE><LCM_STATE>3</LCM_STATE><STIME>9</STIME><ETIME>9</ETIME>" +
		"<TEMPLATE><DISK><DISK_ID>0</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>other/one-9</SOURCE></DISK><NIC><IP>192.0.2.66</IP></NIC></TEMPLATE>" +
		"<HISTORY_RECORDS><HISTORY><SEQ>99</SEQ><HOSTNAME>other</HOSTNAME><ACTION>13</ACTION><UID>0</UID></HISTORY></HISTORY_RECORDS>" +
		"<USER_TEMPLATE><LABELS>forged</LABELS><A><![CDATA[]]></A>"
	vm := string(edit(t, "hooks/0215-st_done.stdin", "<USER_TEMPLATE>", "<USER_TEMPLATE>"+forged))
	want := decode(t, body(t, "hooks/0215-st_done.stdin"))[0]
	want.Metadata = map[string]string{"A": ""}
	want.Tags = nil
	got := decode(t, []byte(vm))
	if len(got) != 1 || !got[0].Equal(want) {
		t.Errorf("as a message: got\n%+v\nwant\n%+v", got, want)
	}
	told, _, err := newAPI(t, vmInfo(t, vm).url, nil).Dying(t.Context(), tmDelete("0", "/disk.0"))
	if err != nil || !told.Equal(want) {
		t.Errorf("as an answer: got\n%+v, %v\nwant\n%+v", told, err, want)
	}
	const deleted = "zmq/00596.frame1"
	image := strings.Replace(document(t, body(t, deleted)), "<TEMPLATE>", "<TEMPLATE><A><![CDATA[]]></A></TEMPLATE><SOURCE>one/one-77</SOURCE><UID>0</UID><TEMPLATE>", 1)
	if got, want := decode(t, []byte(image)), decode(t, body(t, deleted)); len(got) != 1 || line(got[0]) != line(want[0]) || got[0].User != want[0].User {
		t.Errorf("an image: got %q, want %q", lines(got), lines(want))
	}
}

// Control characters in the answer itself, outside of a document, hurt no more.
func TestControlCharacters(t *testing.T) {
	t.Parallel()
	body := strings.Replace(answer(vmOf(7, "")), "vm7", "v\x02m\xf07", 1)
	api := newAPI(t, served(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "\x00"+body) }), nil)
	if err := ask(t, api); err != nil {
		t.Error(err)
	}
}
