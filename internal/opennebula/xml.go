package opennebula

import (
	"encoding/xml"
	"strings"
)

// The parts of OpenNebula's XML that are used. All values are read as text and
// checked where they are used: an error of encoding/xml would repeat them.

type ownerXML struct {
	ID    string `xml:"ID"`
	UID   string `xml:"UID"`
	GID   string `xml:"GID"`
	UName string `xml:"UNAME"`
	GName string `xml:"GNAME"`
	Name  string `xml:"NAME"`
}

type vmXML struct {
	ownerXML
	State        string        `xml:"STATE"`
	LCMState     string        `xml:"LCM_STATE"`
	PrevState    string        `xml:"PREV_STATE"`
	PrevLCMState string        `xml:"PREV_LCM_STATE"`
	STime        string        `xml:"STIME"`
	ETime        string        `xml:"ETIME"`
	Boot         string        `xml:"TEMPLATE>OS>BOOT"`
	Disks        some[diskXML] `xml:"TEMPLATE>DISK"`
	NICs         some[nicXML]  `xml:"TEMPLATE>NIC"`
	Aliases      some[nicXML]  `xml:"TEMPLATE>NIC_ALIAS"`
	UserTemplate flat          `xml:"USER_TEMPLATE"`
	History      historyList   `xml:"HISTORY_RECORDS"`
}

type diskXML struct {
	ID       string `xml:"DISK_ID"`
	Type     string `xml:"TYPE"`      // RBD, RBD_CDROM, FILE, CDROM; volatile: fs, swap
	DiskType string `xml:"DISK_TYPE"` // what it is on the datastore
	TMMad    string `xml:"TM_MAD"`
	Clone    string `xml:"CLONE"` // YES: a clone of SOURCE; NO: SOURCE itself; absent: volatile
	Source   string `xml:"SOURCE"`
	PoolName string `xml:"POOL_NAME"`
	Image    string `xml:"IMAGE"`
	ImageID  string `xml:"IMAGE_ID"`
	Attach   string `xml:"ATTACH"`
}

type nicXML struct {
	IP        string `xml:"IP"`
	IP6       string `xml:"IP6"`
	IP6Global string `xml:"IP6_GLOBAL"`
	IP6ULA    string `xml:"IP6_ULA"`
	IP6Link   string `xml:"IP6_LINK"`
	MAC       string `xml:"MAC"`
	Network   string `xml:"NETWORK"`
}

type historyXML struct {
	Seq       string `xml:"SEQ"`
	HostName  string `xml:"HOSTNAME"`
	STime     string `xml:"STIME"`
	ETime     string `xml:"ETIME"`
	TMMad     string `xml:"TM_MAD"`
	ESTime    string `xml:"ESTIME"` // when the epilog began
	Action    string `xml:"ACTION"`
	UID       string `xml:"UID"`
	RequestID string `xml:"REQUEST_ID"`
}

// Bounds of lists, far above what OpenNebula can make a VM of.
const (
	maxList    = 4096
	maxHistory = 10_000 // the newest
)

// some is a list of at most maxList elements; the others are left out.
type some[T any] []T

// UnmarshalXML implements xml.Unmarshaler.
func (s *some[T]) UnmarshalXML(d *xml.Decoder, el xml.StartElement) error {
	if len(*s) == maxList {
		return d.Skip()
	}
	var v T
	if err := d.DecodeElement(&v, &el); err != nil {
		return err
	}
	*s = append(*s, v)
	return nil
}

// historyList is what a HISTORY_RECORDS element holds. If there is more than one
// element, it is what the last one holds (see once).
type historyList []historyXML

// UnmarshalXML implements xml.Unmarshaler.
func (h *historyList) UnmarshalXML(d *xml.Decoder, el xml.StartElement) error {
	var v struct {
		Records newest `xml:"HISTORY"`
	}
	if err := d.DecodeElement(&v, &el); err != nil {
		return err
	}
	*h = historyList(v.Records)
	return nil
}

// newest is a list of the last maxHistory elements, or somewhat more.
type newest []historyXML

// UnmarshalXML implements xml.Unmarshaler.
func (n *newest) UnmarshalXML(d *xml.Decoder, el xml.StartElement) error {
	var v historyXML
	if err := d.DecodeElement(&v, &el); err != nil {
		return err
	}
	if len(*n) == 2*maxHistory {
		*n = append(newest(nil), (*n)[maxHistory:]...)
	}
	*n = append(*n, v)
	return nil
}

type imageXML struct {
	ownerXML
	State    string `xml:"STATE"`
	DiskType string `xml:"DISK_TYPE"` // a number here
	Source   string `xml:"SOURCE"`
	RegTime  string `xml:"REGTIME"`
	// Datastore is the name of the one that the image is in.
	Datastore string `xml:"DATASTORE"`
	Template  flat   `xml:"TEMPLATE"`
}

// Bounds of what is kept of a template.
const (
	maxAttrs    = 64
	maxAttrName = 128  // bytes
	maxAttr     = 1024 // bytes
)

// flat is the plain attributes of a template. Nested ones are left out, and so
// are those whose names speak of a secret. Of two with one name the last stays.
type flat map[string]string

// UnmarshalXML implements xml.Unmarshaler.
func (f *flat) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	*f = flat{}
	return attributes(d, func(name, value string) {
		_, known := (*f)[name]
		if len(name) <= maxAttrName && !secret(name) && (known || len(*f) < maxAttrs) {
			(*f)[name] = cut(value, maxAttr)
		}
	})
}

// attributes calls each for the plain attributes of a template, to its end.
func attributes(d *xml.Decoder, each func(name, value string)) error {
	for {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		switch t := tok.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			value, plain, err := text(d)
			if err != nil {
				return err
			}
			if plain {
				each(t.Name.Local, value)
			}
		}
	}
}

// text reads to the end of the element and reports whether it held nothing but
// text.
func text(d *xml.Decoder) (value string, plain bool, err error) {
	var b strings.Builder
	plain = true
	for {
		tok, err := d.Token()
		if err != nil {
			return "", false, err
		}
		switch t := tok.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.StartElement:
			plain = false
			if err := d.Skip(); err != nil {
				return "", false, err
			}
		case xml.EndElement:
			return b.String(), plain, nil
		}
	}
}

// secret reports whether an attribute of that name should not be copied into
// records.
func secret(name string) bool {
	name = strings.ToUpper(name)
	for _, word := range []string{"PASSWORD", "PASSWD", "SECRET", "TOKEN", "PRIVATE_KEY"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
