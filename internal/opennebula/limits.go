package opennebula

import (
	"bytes"
	"encoding/xml"
)

// What a document may hold. A VM with 20 disks, 20 interfaces and 100 history
// records has about 3,500 elements and hardly an equals sign.
const (
	maxElements   = 20_000
	maxAttributes = 10_000 // counted as equals signs, before the parser sees them
)

// limited refuses documents that would cost much more memory than they are
// long, by many small elements, nested or not. Entities are no danger, because
// encoding/xml knows none but the five of XML.
type limited struct {
	*xml.Decoder
	elements int
}

func newDecoder(doc []byte) (*xml.Decoder, error) {
	if bytes.Count(doc, []byte("=")) > maxAttributes {
		return nil, invalidf("the document has more than %d attributes", maxAttributes)
	}
	return xml.NewTokenDecoder(&once{d: &limited{Decoder: xml.NewDecoder(bytes.NewReader(doc))}}), nil
}

// Token implements xml.TokenReader.
func (l *limited) Token() (xml.Token, error) {
	tok, err := l.Decoder.Token()
	if err != nil {
		return tok, err
	}
	if _, ok := tok.(xml.StartElement); ok {
		if l.elements++; l.elements > maxElements {
			return nil, invalidf("the document has more than %d elements", maxElements)
		}
	}
	return tok, nil
}
