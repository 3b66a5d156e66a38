package opennebula

import "encoding/xml"

// once leaves out what a resource says for the second time. OpenNebula puts
// what tenants write into CDATA and does not look whether it holds the end of
// it; so a USER_TEMPLATE can have "]]></A></USER_TEMPLATE><UID>0</UID>" in it,
// and the resource seems to have two owners. OpenNebula's own word comes first,
// and is what it takes itself when it reads its database. Only the history
// comes after what tenants write: of that the last one stands (historyList).
type once struct {
	d     tokenReader
	depth int
	// inside are the resources that are being read, the innermost last.
	inside []said
}

// said is what a resource has said so far: the names of its own elements, which
// are at that depth.
type said struct {
	depth int
	names map[string]bool
}

// tokenReader is xml.Decoder.
type tokenReader interface {
	xml.TokenReader
	Skip() error
}

// Token implements xml.TokenReader.
func (o *once) Token() (xml.Token, error) {
	for {
		tok, err := o.d.Token()
		if err != nil {
			return tok, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if o.again(t.Name.Local) {
				if err := o.d.Skip(); err != nil {
					return nil, err
				}
				continue
			}
			o.depth++
			if resourceElement(t.Name.Local) {
				o.inside = append(o.inside, said{o.depth, map[string]bool{}})
			}
		case xml.EndElement:
			if n := len(o.inside); n > 0 && o.inside[n-1].depth == o.depth {
				o.inside = o.inside[:n-1]
			}
			o.depth--
		}
		return tok, nil
	}
}

// again reports whether the resource says this for the second time.
func (o *once) again(name string) bool {
	if len(o.inside) == 0 || name == "HISTORY" || name == "HISTORY_RECORDS" {
		return false
	}
	in := o.inside[len(o.inside)-1]
	if in.depth != o.depth {
		return false
	}
	again := in.names[name]
	in.names[name] = true
	return again
}

func resourceElement(name string) bool {
	switch name {
	case "VM", "HISTORY", "IMAGE", "USER", "GROUP", "DATASTORE", "VNET", "VMTEMPLATE", "HOOK":
		return true
	}
	return false
}
