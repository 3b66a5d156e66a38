package opennebula

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"quarantine/internal/quarantine"
)

// MaxBody is the longest body that Decode reads, in bytes. A VM message is
// 13–20 kB, as base64.
const MaxBody = 8 << 20

// Decode reads one message of an OpenNebula hook and returns the Deletion that
// it reports, under the configured name of the cloud. It returns nil, nil for
// a message of a state or a call that destroys nothing. An error wraps
// quarantine.ErrInvalid, and does not contain the body.
func Decode(cloud string, body []byte) ([]quarantine.Deletion, error) {
	if len(body) > MaxBody {
		return nil, invalidf("the body has %d bytes, more than %d", len(body), MaxBody)
	}
	doc, err := unwrap(body)
	if err != nil {
		return nil, err
	}
	m, err := parse(doc)
	if err != nil {
		return nil, err
	}
	d, err := m.deletion()
	if err != nil || d == nil {
		return nil, err
	}
	return []quarantine.Deletion{d.of(cloud)}, nil
}

// unwrap returns the XML document of a body, which may be base64 with or
// without line ends and padding.
func unwrap(body []byte) ([]byte, error) {
	body = bytes.Trim(body, " \t\r\n\x00")
	if len(body) == 0 {
		return nil, invalidf("the body is empty")
	}
	if body[0] == '<' {
		return body, nil
	}
	line := make([]byte, 0, len(body))
	for _, b := range body {
		if b != '\n' && b != '\r' && b != ' ' && b != '\t' {
			line = append(line, b)
		}
	}
	line = bytes.TrimRight(line, "=")
	doc := make([]byte, base64.RawStdEncoding.DecodedLen(len(line)))
	n, err := base64.RawStdEncoding.Decode(doc, line)
	if err != nil {
		return nil, invalidf("the body is neither XML nor base64: %v", err)
	}
	doc = bytes.TrimSpace(doc[:n])
	if len(doc) == 0 || doc[0] != '<' {
		return nil, invalidf("the body is base64, but not of XML")
	}
	return doc, nil
}

// deletion is the Deletion with the part of its identity that it has no field
// for.
type deletion struct {
	quarantine.Deletion
	// request tells apart the acts that one resource can go through several
	// times; empty for the others.
	request string
}

// of is the Deletion of the cloud, as it is recorded.
func (d *deletion) of(cloud string) quarantine.Deletion {
	d.Cloud, d.CloudType = cloud, quarantine.CloudOpenNebula
	d.ID = quarantine.DeletionID(cloud, d.Kind, d.ResourceID, d.request)
	return d.Deletion.Normalize()
}

// message is a parsed message; nil fields are absent.
type message struct {
	vm    *vmXML
	image *imageXML
	// deleted says that the call that the message is about deleted the image,
	// whatever state the image had then.
	deleted bool
}

func (m message) deletion() (*deletion, error) {
	switch {
	case m.vm != nil:
		return m.vm.deletion()
	case m.image != nil && (m.deleted || m.image.State == imageDelete):
		return m.image.deletion()
	}
	return nil, nil
}

// parse reads a document as far as is needed to know what it reports.
func parse(doc []byte) (message, error) {
	d, err := newDecoder(doc)
	if err != nil {
		return message{}, err
	}
	root, err := start(d)
	if err != nil {
		return message{}, badXML("read the root element", err)
	}
	var m message
	switch root.Name.Local {
	case "VM":
		m.vm = new(vmXML)
		err = d.DecodeElement(m.vm, &root)
	case "IMAGE":
		m.image = new(imageXML)
		err = d.DecodeElement(m.image, &root)
	case "HOOK_MESSAGE":
		return parseHookMessage(d)
	case "CALL_INFO":
		return message{}, nil
	default:
		return message{}, invalidf("the root element is <%s>, not VM, IMAGE, HOOK_MESSAGE or CALL_INFO", cut(root.Name.Local, 40))
	}
	if err == nil {
		err = d.Skip() // what follows the root element
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return message{}, badXML("read the "+root.Name.Local+" element", err)
	}
	return m, nil
}

// parseHookMessage reads what follows <HOOK_MESSAGE>. The type and the call
// come first; the rest of an API message is not read unless the call is
// one.image.delete, because its parameters are not escaped.
func parseHookMessage(d *xml.Decoder) (message, error) {
	var m message
	var hookType, call string
	for {
		tok, err := d.Token()
		if err != nil {
			return message{}, badXML("read the HOOK_MESSAGE element", err)
		}
		var el xml.StartElement
		switch t := tok.(type) {
		case xml.StartElement:
			el = t
		case xml.EndElement:
			if hookType == "" {
				return message{}, invalidf("a HOOK_MESSAGE has no HOOK_TYPE")
			}
			return m, nil
		default:
			continue
		}
		switch el.Name.Local {
		case "HOOK_TYPE":
			err = d.DecodeElement(&hookType, &el)
		case "CALL":
			err = d.DecodeElement(&call, &el)
		case "CALL_INFO":
			if call != "one.image.delete" {
				return message{}, nil
			}
			var info struct {
				Result string    `xml:"RESULT"`
				Image  *imageXML `xml:"EXTRA>IMAGE"`
			}
			if err = d.DecodeElement(&info, &el); err == nil && info.Result == "1" {
				m.image, m.deleted = info.Image, true
			}
		case "VM":
			m.vm = new(vmXML)
			err = d.DecodeElement(m.vm, &el)
		case "IMAGE":
			m.image = new(imageXML)
			err = d.DecodeElement(m.image, &el)
		default:
			err = d.Skip()
		}
		if err != nil {
			return message{}, badXML("read "+cut(el.Name.Local, 40)+" in the HOOK_MESSAGE", err)
		}
	}
}

// start returns the first element of the document.
func start(d *xml.Decoder) (xml.StartElement, error) {
	for {
		tok, err := d.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		if el, ok := tok.(xml.StartElement); ok {
			return el, nil
		}
	}
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: opennebula: %s", quarantine.ErrInvalid, fmt.Sprintf(format, args...))
}

// badXML says what was wrong and where, without repeating the input at length.
func badXML(doing string, err error) error {
	if errors.Is(err, quarantine.ErrInvalid) {
		return err
	}
	if errors.Is(err, io.EOF) {
		return invalidf("%s: the document ends too early", doing)
	}
	return invalidf("%s: %s", doing, cut(err.Error(), 120))
}

// cut shortens a text to at most n bytes, at the border of a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
