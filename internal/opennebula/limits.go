package opennebula

import (
	"bytes"
	"encoding/xml"
)

// What a document may hold. A VM with 20 disks, 20 interfaces and 100 history
// records has about 3,500 elements, ten levels at most, and hardly an equals
// sign.
const (
	maxDepth      = 32
	maxElements   = 20_000
	maxAttributes = 10_000 // counted as equals signs, before the parser sees them
)

// limited refuses documents that would cost much more memory than they are
// long: many small elements, deep nesting. Entities are no danger, because
// encoding/xml knows none but the five of XML.
type limited struct {
	d        *xml.Decoder
	depth    int
	elements int
}

func newDecoder(doc []byte) (*xml.Decoder, error) {
	if bytes.Count(doc, []byte("=")) > maxAttributes {
		return nil, invalidf("the document has more than %d attributes", maxAttributes)
	}
	return xml.NewTokenDecoder(&limited{d: xml.NewDecoder(bytes.NewReader(doc))}), nil
}

// Token implements xml.TokenReader.
func (l *limited) Token() (xml.Token, error) {
	tok, err := l.d.Token()
	if err != nil {
		return tok, err
	}
	switch tok.(type) {
	case xml.StartElement:
		l.depth++
		l.elements++
	case xml.EndElement:
		l.depth--
	}
	if l.depth > maxDepth {
		return nil, invalidf("the document is nested more than %d deep", maxDepth)
	}
	if l.elements > maxElements {
		return nil, invalidf("the document has more than %d elements", maxElements)
	}
	return tok, nil
}
