package opennebula_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// fakeOne is an OpenNebula with its Ceph, over real HTTP. Its answers have the
// form of the recorded ones (see fakeone_forms_test.go), its rules are those of
// oned's source where nothing is recorded. What takes oned a while comes about
// in steps, one with each call.
type fakeOne struct {
	*httptest.Server
	ceph  *fakeceph.Ceph
	place quarantine.PoolRef

	mu       sync.Mutex
	clock    int64
	images   map[int]*oneImage
	vms      map[int]*oneVM
	hooks    map[int]*oneHook
	next     map[string]int
	sessions map[string]int // uid by session
	calls    []string
	fault    func(c oneCall) oneFault
	// path is what becomes of a VM that is released, state by state.
	path [][2]int
	// born is the state of a new image, after it was LOCKED.
	born int
	// more is put into the TEMPLATE of every VM, as a site can.
	more []attr
	// driverFails: no RBD image is removed.
	driverFails bool
}

// oneCall is a call: n counts those of its method, from 1.
type oneCall struct {
	method string
	args   []string
	n      int
}

// arg is an argument; "" if there is none.
func (c oneCall) arg(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

func (c oneCall) id(i int) int {
	n, err := strconv.Atoi(c.arg(i))
	if err != nil {
		return -1
	}
	return n
}

// oneFault is what happens to a call.
type oneFault struct {
	// code is answered in place of the call, with text.
	code int
	text string
	// body is answered in place of the call.
	body string
	// cut breaks the connection before the call is looked at, lose when it was
	// performed.
	cut, lose bool
	// then is done after the call was performed.
	then func()
}

// The accounts and groups of the recordings.
var (
	oneUsers  = map[int]string{0: "oneadmin", 2: "alice", 3: "bob"}
	oneGroups = map[int]string{0: "oneadmin", 1: "users", 100: "experiment"}
	userGroup = map[int]int{0: 0, 2: 100, 3: 100}
)

// The datastores of the recordings, and the pool that both are in.
const (
	dsImages = 100
	dsSystem = 101
	onePool  = "one"
)

func newFakeOne(t testing.TB) *fakeOne {
	t.Helper()
	f := &fakeOne{
		place: quarantine.PoolRef{FSID: "c1c1c1c1-0000-4000-8000-000000000000", Pool: onePool}, clock: now.Unix(),
		images: map[int]*oneImage{}, vms: map[int]*oneVM{}, hooks: map[int]*oneHook{}, next: map[string]int{},
		sessions: map[string]int{session: 0}, path: [][2]int{{1, 0}, {3, 1}, {3, 2}, {3, 3}}, born: 1,
	}
	f.ceph = fakeceph.New(func() time.Time { return now }, quarantine.Pool{PoolRef: f.place, Cloud: cloud, Guarded: true, Protect: time.Hour})
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// api is a client of it that waits little.
func (f *fakeOne) api(t testing.TB, set func(*opennebula.APIConfig)) *opennebula.API {
	t.Helper()
	return newAPI(t, f.URL+"/RPC2", func(c *opennebula.APIConfig) {
		c.Poll, c.PageSize, c.Pools, c.Images = time.Millisecond, 2, f.ceph.Pools(), renamer{f.ceph, nil}
		if set != nil {
			set(c)
		}
	})
}

// ServeHTTP implements http.Handler.
func (f *fakeOne) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, status := f.serve(r.Body)
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// serve returns the answer; status 0 breaks the connection.
func (f *fakeOne) serve(request io.Reader) (body string, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	uid, c, err := f.read(request)
	if err != nil {
		return err.Error(), http.StatusBadRequest
	}
	f.next["call "+c.method]++
	c.n = f.next["call "+c.method]
	f.calls = append(f.calls, c.method+"("+strings.Join(c.args, ",")+")")
	var fault oneFault
	if f.fault != nil {
		fault = f.fault(c)
	}
	switch {
	case fault.cut:
		return "", 0
	case fault.body != "":
		return fault.body, http.StatusOK
	case fault.code != 0:
		return failing(c, fault.code, fault.text, -1), http.StatusOK
	}
	f.step()
	body = f.perform(uid, c)
	if fault.then != nil {
		fault.then()
	}
	if fault.lose {
		return "", 0
	}
	return body, http.StatusOK
}

// read reads a call, and whose session it bears; -1 if it is nobody's.
func (f *fakeOne) read(request io.Reader) (uid int, c oneCall, err error) {
	var m struct {
		Name   string `xml:"methodName"`
		Params []struct {
			Values []struct {
				Text string `xml:",chardata"`
			} `xml:",any"`
		} `xml:"params>param>value"`
	}
	if err := xml.NewDecoder(request).Decode(&m); err != nil {
		return 0, c, err
	}
	c.method, uid = m.Name, -1
	for i, p := range m.Params {
		text := ""
		if len(p.Values) > 0 {
			text = p.Values[0].Text
		}
		if i > 0 {
			c.args = append(c.args, text)
		} else if n, ok := f.sessions[text]; ok {
			uid = n
		}
	}
	return uid, c, nil
}

// step lets time pass.
func (f *fakeOne) step() {
	for _, id := range slices.Sorted(maps.Keys(f.images)) {
		f.stepImage(f.images[id])
	}
	for _, id := range slices.Sorted(maps.Keys(f.vms)) {
		f.stepVM(f.vms[id])
	}
}

// perform answers a call.
func (f *fakeOne) perform(uid int, c oneCall) string {
	if uid < 0 {
		return failing(c, 256, "User couldn't be authenticated, aborting call.", -1)
	}
	switch family, what, _ := strings.Cut(strings.TrimPrefix(c.method, "one."), "."); family {
	case "image":
		return f.image(uid, c, what)
	case "vm":
		return f.vm(uid, c, what)
	case "hook":
		return f.hook(c, what)
	}
	switch c.method {
	case "one.imagepool.info":
		return paged(c, "IMAGE_POOL", f.images, func(i *oneImage) string { return f.imageDoc(i, true) })
	case "one.vmpool.infoextended":
		alive := maps.Clone(f.vms)
		maps.DeleteFunc(alive, func(_ int, v *oneVM) bool { return v.state == 6 })
		return paged(c, "VM_POOL", alive, f.vmDoc)
	case "one.hookpool.info":
		return paged(c, "HOOK_POOL", f.hooks, (*oneHook).doc)
	case "one.datastorepool.info":
		return good("<DATASTORE_POOL>" + datastoreDoc(dsImages, "ceph_images", 0) + datastoreDoc(dsSystem, "ceph_system", 1) + "</DATASTORE_POOL>")
	case "one.userpool.info":
		return good("<USER_POOL>" + each(oneUsers, func(id int, name string) string {
			return fmt.Sprintf("<USER><ID>%d</ID><GID>%d</GID><GROUPS><ID>%[2]d</ID></GROUPS><GNAME>%s</GNAME><NAME>%s</NAME><TEMPLATE></TEMPLATE></USER><QUOTAS><ID>%[1]d</ID></QUOTAS>", id, userGroup[id], oneGroups[userGroup[id]], name)
		}) + "</USER_POOL>")
	case "one.grouppool.info":
		return good("<GROUP_POOL>" + each(oneGroups, func(id int, name string) string {
			return fmt.Sprintf("<GROUP><ID>%d</ID><NAME>%s</NAME><TEMPLATE></TEMPLATE></GROUP>", id, name)
		}) + "</GROUP_POOL>")
	case "one.vnpool.info":
		return good("<VNET_POOL>" + each(map[int]string{0: "public", 1: "private", 2: "twice", 3: "twice"}, func(id int, name string) string {
			return fmt.Sprintf("<VNET><ID>%d</ID><UID>0</UID><NAME>%s</NAME><TEMPLATE></TEMPLATE></VNET>", id, name)
		}) + "</VNET_POOL>")
	case "one.templatepool.info":
		return good("<VMTEMPLATE_POOL><VMTEMPLATE><ID>4</ID><NAME>small</NAME><TEMPLATE><CPU><![CDATA[0.5]]></CPU><MEMORY><![CDATA[256]]></MEMORY><VCPU><![CDATA[2]]></VCPU><NIC><NETWORK_ID><![CDATA[0]]></NETWORK_ID></NIC></TEMPLATE></VMTEMPLATE>" +
			"<VMTEMPLATE><ID>5</ID><NAME>empty</NAME><TEMPLATE></TEMPLATE></VMTEMPLATE></VMTEMPLATE_POOL>")
	}
	return fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<methodResponse>\r\n<fault>\r\n<value><struct>\r\n<member><name>faultCode</name>\r\n<value><i4>-506</i4></value></member>\r\n<member><name>faultString</name>\r\n<value><string>Method '%s' not defined</string></value></member>\r\n</struct></value>\r\n</fault>\r\n</methodResponse>\r\n", c.method)
}

func each[T any](of map[int]T, text func(int, T) string) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(of)) {
		b.WriteString(text(id, of[id]))
	}
	return b.String()
}

// paged is a pool, newest first; all of it where no page is asked for.
func paged[T any](c oneCall, root string, of map[int]T, doc func(T) string) string {
	ids := slices.Sorted(maps.Keys(of))
	slices.Reverse(ids)
	if from, n := c.id(1), c.id(2); n < -1 {
		from = min(from, len(ids))
		ids = ids[from:min(len(ids), from-n)]
	}
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(doc(of[id]))
	}
	return good("<" + root + ">" + b.String() + "</" + root + ">")
}

func datastoreDoc(id int, name string, kind int) string {
	mad := map[int]string{0: "ceph", 1: "-"}[kind]
	return fmt.Sprintf("<DATASTORE><ID>%d</ID><UID>0</UID><GID>0</GID><NAME>%s</NAME><DS_MAD><![CDATA[%s]]></DS_MAD><TM_MAD><![CDATA[ceph]]></TM_MAD><TYPE>%d</TYPE><TEMPLATE><POOL_NAME><![CDATA[%s]]></POOL_NAME></TEMPLATE></DATASTORE>", id, name, mad, kind, onePool)
}

// The three forms of an answer.

func good(doc string) string { return success("<string>" + escaped(doc) + "</string>") }
func goodID(id int) string   { return success(fmt.Sprintf("<i4>%d</i4>", id)) }

func success(value string) string {
	return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<methodResponse>\r\n<params>\r\n<param><value><array><data>\r\n<value><boolean>1</boolean></value>\r\n<value>" + value +
		"</value>\r\n<value><i4>0</i4></value>\r\n</data></array></value></param>\r\n</params>\r\n</methodResponse>\r\n"
}

func failing(c oneCall, code int, text string, id int) string {
	return fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<methodResponse>\r\n<params>\r\n<param><value><array><data>\r\n<value><boolean>0</boolean></value>\r\n<value><string>%s</string></value>\r\n<value><i4>%d</i4></value>\r\n<value><i4>%d</i4></value>\r\n<value><i8>-1</i8></value>\r\n</data></array></value></param>\r\n</params>\r\n</methodResponse>\r\n",
		escaped("["+c.method+"] "+text), code, id)
}

func escaped(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// renamer is the port to Ceph.
type renamer struct {
	ceph *fakeceph.Ceph
	// fault sees each call; before fails it, after loses its answer.
	fault func(from, to string) (before, after error)
}

// RenameImage implements quarantine.Renamer.
func (r renamer) RenameImage(_ context.Context, pool quarantine.PoolRef, from, to string) error {
	var before, after error
	if r.fault != nil {
		before, after = r.fault(from, to)
	}
	if before != nil {
		return before
	}
	if err := r.ceph.CloudRename(pool, from, to); err != nil {
		return err
	}
	return after
}
