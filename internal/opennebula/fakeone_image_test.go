package opennebula_test

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// attr is an attribute of a template; a vector one has others.
type attr struct {
	name, value string
	sub         []attr
}

// attrsXML are the attributes of a template in XML.
type attrsXML []attr

// UnmarshalXML implements xml.Unmarshaler.
func (a *attrsXML) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	for {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		switch t := tok.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			var v struct {
				Text string   `xml:",chardata"`
				Sub  []subXML `xml:",any"`
			}
			if err := d.DecodeElement(&v, &t); err != nil {
				return err
			}
			one := attr{name: t.Name.Local, value: v.Text}
			for _, s := range v.Sub {
				one.sub = append(one.sub, attr{name: s.XMLName.Local, value: s.Text})
			}
			*a = append(*a, one)
		}
	}
}

type subXML struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
}

// parseTemplate reads a template in XML, or in the other syntax as far as the
// recordings have it.
func parseTemplate(s string) ([]attr, error) {
	if strings.HasPrefix(s, "<") {
		var a attrsXML
		err := xml.Unmarshal([]byte(s), &a)
		return a, err
	}
	var attrs []attr
	for line := range strings.SplitSeq(s, "\n") {
		if name, value, ok := strings.Cut(line, " = "); ok {
			text, err := strconv.Unquote(value)
			if err != nil {
				return nil, err
			}
			attrs = append(attrs, attr{name: name, value: text})
		}
	}
	return attrs, nil
}

// takeAttr returns the attribute's value and leaves the others.
func takeAttr(attrs *[]attr, name string) string {
	value := ""
	*attrs = slices.DeleteFunc(*attrs, func(a attr) bool {
		if a.name == name {
			value = strings.TrimSpace(a.value)
		}
		return a.name == name
	})
	return value
}

// attrsDoc writes attributes as oned does, by name.
func attrsDoc(attrs []attr) string {
	attrs = slices.Clone(attrs)
	slices.SortStableFunc(attrs, func(a, b attr) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	for _, a := range attrs {
		if len(a.sub) > 0 {
			b.WriteString("<" + a.name + ">" + attrsDoc(a.sub) + "</" + a.name + ">")
		} else {
			b.WriteString("<" + a.name + "><![CDATA[" + a.value + "]]></" + a.name + ">")
		}
	}
	return b.String()
}

// badName is why oned refuses a name (PoolObjectSQL::name_is_valid).
func badName(name string) string {
	switch i := strings.IndexAny(name, "&|:\\\";/'#{}$<>"); {
	case name == "":
		return "Invalid NAME, it cannot be empty"
	case i >= 0:
		return fmt.Sprintf("Invalid NAME, char '%c' is not allowed", name[i])
	case len(name) > 128:
		return "Invalid NAME, max length is 128 chars"
	}
	return ""
}

const permissions = "<PERMISSIONS><OWNER_U>1</OWNER_U><OWNER_M>1</OWNER_M><OWNER_A>0</OWNER_A><GROUP_U>0</GROUP_U><GROUP_M>0</GROUP_M><GROUP_A>0</GROUP_A><OTHER_U>0</OTHER_U><OTHER_M>0</OTHER_M><OTHER_A>0</OTHER_A></PERMISSIONS>"

type oneImage struct {
	id, uid, gid  int
	name          string
	kind          int // 0 OS, 2 DATABLOCK
	persistent    bool
	regtime       int64
	source        string
	size          int
	state, before int
	vms           []int
	attrs         []attr
	locked        bool
	// steps until the driver has done its work.
	steps int
}

// stepImage is what the image manager and the driver do.
func (f *fakeOne) stepImage(i *oneImage) {
	if i.steps > 0 {
		i.steps--
		return
	}
	switch i.state {
	case 4:
		i.state = f.born
		i.before = i.state
	case 7:
		err := f.driverRemoves(i.source)
		if err == nil || i.attr("FORCE_DELETE") == "YES" {
			delete(f.images, i.id)
			return
		}
		i.state = 5
		i.set("ERROR", "Sat Nov 28 15:00:00 2026: Error removing image from datastore: "+err.Error())
	}
}

// driverRemoves is the script datastore/ceph/rm: the snapshots first.
func (f *fakeOne) driverRemoves(source string) error {
	pool, name, _ := strings.Cut(source, "/")
	key, ok := f.ceph.LookLive(f.place, name)
	if f.driverFails || !ok || pool != f.place.Pool {
		return fmt.Errorf("rbd rm %s: exit status 2", source)
	}
	for _, snap := range f.ceph.Snapshots(key) {
		if err := f.ceph.CloudRemoveSnapshot(f.place, name, snap); err != nil {
			return err
		}
	}
	return f.ceph.CloudRemove(f.place, name)
}

func (i *oneImage) attr(name string) string {
	attrs := slices.Clone(i.attrs)
	return takeAttr(&attrs, name)
}

func (i *oneImage) set(name, value string) {
	takeAttr(&i.attrs, name)
	i.attrs = append(i.attrs, attr{name: name, value: value})
}

// imageDoc is an image's document. In a pool one that was not used has no
// snapshots to speak of.
func (f *fakeOne) imageDoc(i *oneImage, inPool bool) string {
	vms := ""
	for _, id := range i.vms {
		vms += fmt.Sprintf("<ID>%d</ID>", id)
	}
	lock := ""
	if i.locked {
		lock = "<LOCK><LOCKED>4</LOCKED><OWNER>2</OWNER><TIME>1795387693</TIME><REQ_ID>7</REQ_ID></LOCK>"
	}
	snapshots := "<ALLOW_ORPHANS><![CDATA[NO]]></ALLOW_ORPHANS><CURRENT_BASE><![CDATA[-1]]></CURRENT_BASE><NEXT_SNAPSHOT><![CDATA[0]]></NEXT_SNAPSHOT>"
	if inPool {
		snapshots = ""
	}
	return fmt.Sprintf("<IMAGE><ID>%d</ID><UID>%d</UID><GID>%d</GID><UNAME>%s</UNAME><GNAME>%s</GNAME><NAME>%s</NAME>%s%s<TYPE>%d</TYPE><DISK_TYPE>3</DISK_TYPE><PERSISTENT>%s</PERSISTENT><REGTIME>%d</REGTIME><MODTIME>%[11]d</MODTIME>",
		i.id, i.uid, i.gid, oneUsers[i.uid], oneGroups[i.gid], i.name, lock, permissions, i.kind, map[bool]string{true: "1", false: "0"}[i.persistent], i.regtime) +
		fmt.Sprintf("<SOURCE><![CDATA[%s]]></SOURCE><PATH><![CDATA[]]></PATH><FORMAT><![CDATA[raw]]></FORMAT><FS><![CDATA[]]></FS><SIZE>%d</SIZE><STATE>%d</STATE><PREV_STATE>%d</PREV_STATE><RUNNING_VMS>%d</RUNNING_VMS><CLONING_OPS>0</CLONING_OPS><CLONING_ID>-1</CLONING_ID><TARGET_SNAPSHOT>-1</TARGET_SNAPSHOT><DATASTORE_ID>%d</DATASTORE_ID><DATASTORE>ceph_images</DATASTORE>",
			i.source, i.size, i.state, i.before, len(i.vms), dsImages) +
		"<VMS>" + vms + "</VMS><CLONES></CLONES><APP_CLONES></APP_CLONES><TEMPLATE>" + attrsDoc(i.attrs) + "</TEMPLATE><SNAPSHOTS>" + snapshots + "</SNAPSHOTS><BACKUP_INCREMENTS></BACKUP_INCREMENTS><BACKUP_DISK_IDS></BACKUP_DISK_IDS></IMAGE>"
}

// image answers one.image.*.
func (f *fakeOne) image(uid int, c oneCall, what string) string {
	if what == "allocate" {
		return f.allocateImage(uid, c)
	}
	i := f.images[c.id(0)]
	if i == nil {
		return failing(c, 1024, fmt.Sprintf("Error getting image [%d].", c.id(0)), c.id(0))
	}
	switch what {
	case "info":
		return good(f.imageDoc(i, false))
	case "delete":
		return f.deleteImage(c, i)
	case "rename":
		return f.renameImage(c, i)
	case "enable":
		if i.state == 5 && c.arg(1) == "1" {
			i.state = 1
		}
		return goodID(i.id)
	case "chown":
		newUID, newGID := c.id(1), c.id(2)
		if _, ok := oneUsers[newUID]; newUID >= 0 && !ok {
			return failing(c, 1024, fmt.Sprintf("Error getting user [%d].", newUID), newUID)
		}
		if newUID >= 0 && newUID != i.uid {
			if o := f.ownedBy(newUID, i.name); o != nil {
				return failing(c, 8192, fmt.Sprintf("USER [%d] already owns IMAGE [%d] with NAME %s", newUID, o.id, i.name), -1)
			}
			i.uid = newUID
		}
		if newGID >= 0 {
			i.gid = newGID
		}
		return goodID(i.id)
	}
	return failing(c, 4096, "Wrong method", -1)
}

// ownedBy is the image of that name that the user has.
func (f *fakeOne) ownedBy(uid int, name string) *oneImage {
	for _, i := range f.images {
		if i.uid == uid && i.name == name {
			return i
		}
	}
	return nil
}

func (f *fakeOne) allocateImage(uid int, c oneCall) string {
	const prefix = "Error allocating a new image. "
	attrs, err := parseTemplate(c.arg(0))
	if err != nil {
		return failing(c, 8192, "Parse error: XML Template malformed.", -1)
	}
	ds := c.id(1)
	i := &oneImage{uid: uid, gid: userGroup[uid], regtime: f.clock, state: 4, before: 4}
	i.name, i.source = takeAttr(&attrs, "NAME"), takeAttr(&attrs, "SOURCE")
	kind, size, format, path := takeAttr(&attrs, "TYPE"), takeAttr(&attrs, "SIZE"), takeAttr(&attrs, "FORMAT"), takeAttr(&attrs, "PATH")
	i.persistent = strings.EqualFold(takeAttr(&attrs, "PERSISTENT"), "YES")
	i.kind = map[string]int{"OS": 0, "DATABLOCK": 2}[kind]
	i.size, err = strconv.Atoi(size)
	switch {
	case uid != 0 && i.source != "":
		return failing(c, 512, fmt.Sprintf("User [%d] : Template includes a restricted attribute SOURCE.", uid), -1)
	case err != nil:
		return failing(c, 8192, "Cannot parse image SIZE: Wrong number or missing SIZE attribute.", -1)
	case ds == dsSystem:
		return failing(c, 16384, prefix+"New images can only be allocated in a files or image datastore.", -1)
	case badName(i.name) != "":
		return failing(c, 16384, prefix+badName(i.name), -1)
	case f.ownedBy(uid, i.name) != nil:
		return failing(c, 16384, fmt.Sprintf("%sNAME is already taken by IMAGE %d.", prefix, f.ownedBy(uid, i.name).id), -1)
	case i.source != "" && path != "":
		return failing(c, 16384, prefix+"PATH and SOURCE cannot be both set.", -1)
	case i.source != "" && format == "":
		return failing(c, 16384, prefix+"SOURCE needs FORMAT to be set.", -1)
	}
	if !slices.ContainsFunc(attrs, func(a attr) bool { return a.name == "DEV_PREFIX" }) {
		attrs = append(attrs, attr{name: "DEV_PREFIX", value: "vd"})
	}
	i.attrs, i.id = attrs, f.newID("image")
	f.images[i.id] = i
	return goodID(i.id)
}

func (f *fakeOne) newID(kind string) int {
	n := f.next[kind]
	f.next[kind]++
	return n
}

func (f *fakeOne) deleteImage(c oneCall, i *oneImage) string {
	force := c.arg(1) == "1"
	switch {
	case i.locked && !force:
		return failing(c, 8192, "Image locked, use --force flag to remove the image. Force delete may leave some files on Datastore", i.id)
	case slices.Contains([]int{2, 6, 8}, i.state):
		return failing(c, 2048, fmt.Sprintf("Cannot delete image. There are %d VMs using it.", len(i.vms)), -1)
	}
	if force {
		i.set("FORCE_DELETE", "YES")
	}
	i.state, i.steps = 7, 2
	return goodID(i.id)
}

func (f *fakeOne) renameImage(c oneCall, i *oneImage) string {
	name := c.arg(1)
	if o := f.ownedBy(i.uid, name); o != nil && o != i {
		return failing(c, 2048, fmt.Sprintf("IMAGE cannot be renamed to %s because it collides with IMAGE %d", name, o.id), -1)
	}
	if why := badName(name); why != "" {
		return failing(c, 2048, why, -1)
	}
	i.name = name
	return goodID(i.id)
}

// imageIDs are the images that it has.
func (f *fakeOne) imageIDs() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.images))
}

// lookImage is a copy of the image; false if there is none.
func (f *fakeOne) lookImage(id string) (oneImage, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := strconv.Atoi(id)
	if i := f.images[n]; i != nil && err == nil {
		return *i, true
	}
	return oneImage{}, false
}
