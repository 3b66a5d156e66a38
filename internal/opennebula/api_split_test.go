package opennebula

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// poolByXML reads a pool of VMs with encoding/xml alone: the first ID of each
// VM; false for what is none, or has what split refuses on purpose.
func poolByXML(doc []byte) (ids []string, ok bool) {
	if strings.Contains(strings.NewReplacer("<![CDATA[", "", "<!--", "").Replace(string(doc)), "<!") {
		return nil, false // a document type, wherever it is
	}
	d := xml.NewDecoder(bytes.NewReader(doc))
	depth := 0
	has := false // the VM has an ID
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return ids, depth == 0 && ids != nil
		}
		if err != nil {
			return nil, false
		}
		switch t := tok.(type) {
		case xml.StartElement:
			// Names with a prefix are other names to encoding/xml.
			if strings.ContainsAny(t.Name.Space+t.Name.Local, ":/") || t.Name.Space != "" || slices.ContainsFunc(t.Attr, func(a xml.Attr) bool { return a.Name.Local == "xmlns" || a.Name.Space == "xmlns" }) {
				return nil, false
			}
			switch {
			case depth == 0 && (ids != nil || t.Name.Local != "VM_POOL"), depth == 1 && t.Name.Local != "VM":
				return nil, false
			case depth == 0:
				ids = []string{}
			case depth == 1:
				ids, has = append(ids, ""), false
			case depth == 2 && t.Name.Local == "ID" && !has:
				var id string
				if err := d.DecodeElement(&id, &t); err != nil {
					return nil, false
				}
				ids[len(ids)-1], has = id, true
				continue
			}
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth < 2 && len(bytes.TrimSpace(t)) > 0 {
				return nil, false
			}
		}
	}
}

// No document makes the decoder of pools panic. What encoding/xml takes for a
// pool has the same VMs here; what is refused says that nothing may be concluded.
func FuzzPool(f *testing.F) {
	for _, doc := range []string{
		"<VM_POOL></VM_POOL>", "<VM_POOL/>", "<?xml version=\"1.0\"?>\n<VM_POOL><!-- x --><VM><ID>1</ID></VM>\n<VM/></VM_POOL>\n",
		"<VM_POOL><VM><ID>3</ID><UID>2</UID><STATE>3</STATE><TEMPLATE><DISK><DISK_ID>0</DISK_ID></DISK></TEMPLATE><HISTORY_RECORDS><HISTORY><SEQ>0</SEQ></HISTORY></HISTORY_RECORDS></VM></VM_POOL>",
		"<VM_POOL><VM a='>' b=\"</VM>\"><ID><![CDATA[</ID><VM>]]></ID><ID>2</ID></VM></VM_POOL>",
		"<VM_POOL><VM><VM><ID>1</ID></VM></VM></VM_POOL>", "<VM_POOL><VM><ID>1", "<VM_POOL><VM><ID>&amp;&#49;</ID></VM></VM_POOL>", "<!DOCTYPE x><VM_POOL/>", "<VM_POOL>x</VM_POOL>", "<VM_POOL><VM/ ></VM_POOL>",
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		want, ok := poolByXML(doc)
		got := []string{}
		err := splitPool(bytes.Clone(doc), pathVMs, func(element []byte) error {
			v := &vmXML{}
			if err := decodeElement(element, v); err != nil {
				return err
			}
			got = append(got, v.ID)
			if v.State == "" {
				return nil
			}
			d := v.death().of("one")
			if !d.Equal(d.Normalize()) || len(d.ResourceName) > maxName || len(d.Metadata) > maxAttrs {
				t.Fatalf("%+v is not in its normal form", d)
			}
			return nil
		})
		if err != nil && (!errors.Is(err, quarantine.ErrUnavailable) || len(err.Error()) > 400) {
			t.Fatal(err)
		}
		if ok && (err != nil || !slices.Equal(got, want)) {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	})
}

// A document is cut where its elements end, whatever is in them, and its
// attributes are gone.
func TestSplit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		doc   string
		level int
		want  []string
	}{
		{"<A>x</A>", 1, []string{"<A>x</A>"}},
		{"<A/>", 1, []string{"<A/>"}},
		{" <?xml version='1.0'?> <!-- <B> --> <A b='1'>x</A> <!-- --> ", 1, []string{"<A      >x</A>"}},
		{"<A/>", 2, nil},
		{"<A> </A>", 2, nil},
		{"<A><B>1</B> <B/><B c='>\"' d=\"'/>\"/></A>", 2, []string{"<B>1</B>", "<B/>", "<B               />"}},
		{"<A><B><B><A></A></B><![CDATA[</B>]]><!-- </B> --><?b </B> ?></B></A>", 2, []string{"<B><B><A></A></B><![CDATA[</B>]]><!-- </B> --><?b </B> ?></B>"}},
	} {
		var got []string
		err := split([]byte(tt.doc), "A", tt.level, func(element []byte) error {
			got = append(got, string(element))
			return nil
		})
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, %v, want %q", tt.doc, got, err, tt.want)
		}
	}
	for _, doc := range []string{"", " ", "x", "<", "<A", "<A>", "</A>", "<A></A></A>", "<A></A><A></A>", "<A/><A/>", "<A/>x", "<B/>", "<A b='>", "<!DOCTYPE A><A/>", "<![CDATA[x", "<!-- ", "<? ", "<A><!-- </A>"} {
		err := split([]byte(doc), "A", 1, func([]byte) error { return nil })
		if !errors.Is(err, quarantine.ErrUnavailable) {
			t.Errorf("%q: %v", doc, err)
		}
	}
}
