package main

import (
	"bytes"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	cephlab "quarantine/integration/ceph"
	frontend "quarantine/integration/opennebula"
	"quarantine/internal/quarantine"
)

//go:embed testdata/one
var oneDrivers embed.FS

// nebula is a site whose cloud is an OpenNebula: a front-end that answers
// one.vm.info, and on it the storage drivers, with the wrapper in their way or
// without.
type nebula struct {
	*site
	remotes string // of the drivers
	mode    string

	mu  sync.Mutex
	vms map[string]string // by id: the VM element
	// dying is the image that is being deleted.
	dying string
}

// oneDisk is a disk of a VM: of an image (Source) or volatile, or persistent.
type oneDisk struct {
	id         int
	source     string // pool/one-<image>; "" of a volatile one
	persistent bool
}

func newNebula(t *testing.T, o siteOptions, wrapped bool) *nebula {
	t.Helper()
	n := &nebula{vms: map[string]string{}, mode: "fail-open"}
	srv := httptest.NewServer(http.HandlerFunc(n.answer))
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "one_auth"), "oneadmin:secret\n")
	o.clouds = fmt.Sprintf("  - {name: os, type: opennebula, api: {endpoint: %q, auth_file: %q}}\n", srv.URL, filepath.Join(dir, "one_auth"))
	n.site = newSite(t, o)
	n.remotes = filepath.Join(dir, "remotes")
	n.install(wrapped)
	return n
}

var calledMethod = regexp.MustCompile(`<methodName>([^<]*)</methodName>`)
var calledID = regexp.MustCompile(`<(?:int|i4)>(-?\d+)</`)

// answer is oned's XML-RPC interface, as far as the daemon needs it here.
func (n *nebula) answer(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	_, _ = b.ReadFrom(r.Body)
	method, id := calledMethod.FindStringSubmatch(b.String()), calledID.FindStringSubmatch(b.String())
	say := func(ok int, what string, code int) {
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><methodResponse><params><param><value><array><data><value><boolean>%d</boolean></value><value><string>%s</string></value><value><i4>%d</i4></value></data></array></value></param></params></methodResponse>`, ok, html.EscapeString(what), code)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case method == nil:
		http.Error(w, "no call", http.StatusBadRequest)
	case method[1] == "one.vm.info" && id != nil && n.vms[id[1]] != "":
		say(1, n.vms[id[1]], 0)
	case method[1] == "one.image.info" && n.dying != "":
		say(1, n.dying, 0)
	case method[1] == "one.vmpool.infoextended":
		say(1, "<VM_POOL></VM_POOL>", 0)
	case method[1] == "one.imagepool.info":
		say(1, "<IMAGE_POOL></IMAGE_POOL>", 0)
	default:
		say(0, "["+method[1]+"] Error getting it.", 0x400)
	}
}

// install lays out the remotes of the drivers: stand-ins that call what the
// originals call, and the wrapper before them.
func (n *nebula) install(wrapped bool) {
	n.t.Helper()
	for path, file := range map[string]string{"rbd.sh": "rbd.sh", "tm/ceph/delete": "delete", "datastore/ceph/rm": "rm"} {
		b, err := oneDrivers.ReadFile("testdata/one/" + file)
		if err != nil {
			n.t.Fatal(err)
		}
		path = filepath.Join(n.remotes, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			n.t.Fatal(err)
		}
		if wrapped && file != "rbd.sh" {
			n.executable(path, []byte(frontend.DriverScript()))
			path += ".distrib"
		}
		n.executable(path, b)
	}
	if err := os.MkdirAll(filepath.Join(n.remotes, "disks"), 0o755); err != nil {
		n.t.Fatal(err)
	}
}

func (n *nebula) executable(path string, b []byte) {
	n.t.Helper()
	if err := os.WriteFile(path, b, 0o755); err != nil {
		n.t.Fatal(err)
	}
}

// vm has the front-end know a VM in the state (EPILOG of a terminate, or DONE
// after it), with its disks.
func (n *nebula) vm(id, state, lcm string, disks ...oneDisk) {
	n.t.Helper()
	var b strings.Builder
	now := time.Now().Unix()
	fmt.Fprintf(&b, "<VM><ID>%s</ID><UID>2</UID><GID>100</GID><UNAME>alice</UNAME><GNAME>experiment</GNAME><NAME>web %s</NAME>"+
		"<STATE>%s</STATE><LCM_STATE>%s</LCM_STATE><PREV_STATE>3</PREV_STATE><PREV_LCM_STATE>%s</PREV_LCM_STATE><STIME>%d</STIME><ETIME>0</ETIME><TEMPLATE>", id, id, state, lcm, lcm, now-100)
	for _, d := range disks {
		source, line := "", "- "+n.spec
		switch {
		case d.persistent:
			source, line = "<CLONE>NO</CLONE><SOURCE>"+d.source+"</SOURCE>", ""
		case d.source != "":
			source, line = "<CLONE>YES</CLONE><SOURCE>"+d.source+"</SOURCE>", d.source+" -"
		}
		kind := "RBD"
		if d.source == "" {
			kind = "fs"
		}
		fmt.Fprintf(&b, "<DISK><DISK_ID>%d</DISK_ID><TYPE>%s</TYPE><DISK_TYPE>RBD</DISK_TYPE><TM_MAD>ceph</TM_MAD><POOL_NAME>%s</POOL_NAME>%s</DISK>", d.id, kind, n.spec, source)
		write(n.t, filepath.Join(n.remotes, "disks", fmt.Sprintf("%s.%d", id, d.id)), line+"\n")
	}
	fmt.Fprintf(&b, "<NIC><IP>192.0.2.%s</IP><MAC>02:00:0A:0A:00:75</MAC></NIC></TEMPLATE><USER_TEMPLATE></USER_TEMPLATE>"+
		"<HISTORY_RECORDS><HISTORY><OID>%s</OID><SEQ>0</SEQ><HOSTNAME>node1</HOSTNAME><STIME>%d</STIME><ETIME>0</ETIME><TM_MAD>ceph</TM_MAD><ESTIME>%d</ESTIME><ACTION>27</ACTION><UID>2</UID></HISTORY></HISTORY_RECORDS></VM>", id, id, now-100, now)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.vms[id] = b.String()
}

// driver runs a script of the remotes as oned does, with the cloud's key, and
// returns its exit status and what it says to oned's log.
func (n *nebula) driver(p *process, script, stdin string, args ...string) (status int, log string) {
	n.t.Helper()
	url := "http://127.0.0.1:1" // nobody listens
	if p != nil {
		url = "http://" + p.addr
	}
	conf := filepath.Join(n.dir, "opennebula.conf")
	write(n.t, conf, fmt.Sprintf("URL=%s\nTOKEN_FILE=%s\nSPOOL=%s\nMODE=%s\n", url, filepath.Join(n.dir, "hook.token"), n.spool(), n.mode))
	cmd := exec.CommandContext(n.ctx, filepath.Join(n.remotes, script), args...)
	cmd.Env = append(os.Environ(), "QUARANTINE_CONF="+conf, "POOL="+n.spec, "DISKS="+filepath.Join(n.remotes, "disks"), "CALLS="+filepath.Join(n.dir, "calls"),
		"RBD=rbd --conf "+n.lab.Conf+" --id "+cephlab.Cloud)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatalf("%s: %v", script, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func (n *nebula) spool() string { return filepath.Join(n.dir, "spool") }

// epilog runs the lines of a terminate's epilog, and returns the first failure.
func (n *nebula) epilog(p *process, vm string, disks ...oneDisk) (status int, log string) {
	n.t.Helper()
	system := "node1:/var/lib/one//datastores/101/" + vm
	for _, d := range disks {
		if status, log := n.driver(p, "tm/ceph/delete", "", fmt.Sprintf("%s/disk.%d", system, d.id), vm, "100"); status != 0 {
			return status, log
		}
	}
	return n.driver(p, "tm/ceph/delete", "", system, vm, "101")
}

// deleteImage is `oneimage delete`: the datastore's rm.
func (n *nebula) deleteImage(p *process, id, source string) (status int, log string) {
	n.t.Helper()
	image := fmt.Sprintf("<IMAGE><ID>%s</ID><UID>2</UID><GID>100</GID><UNAME>alice</UNAME><GNAME>experiment</GNAME><NAME>base</NAME><DISK_TYPE>3</DISK_TYPE><STATE>7</STATE><SOURCE>%s</SOURCE></IMAGE>", id, source)
	n.mu.Lock()
	n.dying = image
	n.mu.Unlock()
	data := fmt.Sprintf("<DS_DRIVER_ACTION_DATA>%s<DATASTORE><ID>100</ID><TEMPLATE><POOL_NAME>%s</POOL_NAME></TEMPLATE></DATASTORE></DS_DRIVER_ACTION_DATA>", image, n.spec)
	return n.driver(p, "datastore/ceph/rm", base64.StdEncoding.EncodeToString([]byte(data)), id)
}

// base makes an image as the datastore has them, and its clone as a VM's disk.
func (n *nebula) base(image string, vm string) (content []byte, d oneDisk) {
	n.t.Helper()
	source := n.spec + "/" + image
	n.image(image)
	n.rbd("snap", "create", "--no-progress", source+"@snap")
	n.rbd("snap", "protect", source+"@snap")
	disk := source + "-" + vm + "-0"
	n.rbd("clone", source+"@snap", disk)
	n.rbd("bench", "--io-type", "write", "--io-total", "64K", "--io-size", "4K", disk)
	return n.content(disk), oneDisk{id: 0, source: source}
}

// nebulaCases are the ways in which a disk is kept.
var nebulaCases = map[string]struct {
	unguard, wrapped bool
	capture          quarantine.Capture
}{
	"guard":             {false, false, quarantine.CaptureGuard},
	"guard and wrapper": {false, true, quarantine.CaptureGuard},
	"wrapper":           {true, true, quarantine.CaptureDriver},
}

// The drivers' own calls end with success, and every disk of the VM is in
// quarantine with its content and its identity; a second run of the lines, as
// oned makes on a retry, is success where the wrapper is, and then the base image
// goes the same way without taking the disk with it.
func TestOpenNebulaDriver(t *testing.T) {
	t.Parallel()
	for name, c := range nebulaCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNebula(t, siteOptions{unguard: c.unguard}, c.wrapped)
			p := n.start()
			content, clone := n.base("one-1", "19")
			volatile := n.image("one-sys-19-2")
			n.rbd("snap", "create", "--no-progress", n.spec+"/one-sys-19-2@0")
			n.rbd("snap", "protect", n.spec+"/one-sys-19-2@0")
			own := n.image("one-7")
			disks := []oneDisk{clone, {id: 1, source: n.spec + "/one-7", persistent: true}, {id: 2}}
			n.vm("19", "3", "11", disks...)
			if status, log := n.epilog(p, "19", disks...); status != 0 {
				t.Fatalf("the epilog ends with %d: %s", status, log)
			}
			want := map[string][]byte{"one-1-19-0": content, "one-sys-19-2": volatile}
			for _, d := range p.wait(2, quarantine.Quarantined) {
				if d.Capture != string(c.capture) || !d.Sealed {
					t.Errorf("%s: capture %s, sealed %v", d.OriginalName, d.Capture, d.Sealed)
				}
				same(t, d.OriginalName, p.bytesOf(d.ID), want[d.OriginalName])
				if c.wrapped && (d.ResourceID != "19" || d.User != "alice" || len(d.Addresses) == 0) {
					t.Errorf("%s is of %s %s, of %s at %v", d.OriginalName, d.ResourceKind, d.ResourceID, d.User, d.Addresses)
				}
			}
			same(t, "the persistent image", n.content(n.spec+"/one-7"), own)
			if live := n.live(); len(live) != 2 {
				t.Errorf("live are %q, want one-1 and one-7", live)
			}
			status, log := n.epilog(p, "19", disks...)
			if c.wrapped != (status == 0) {
				t.Errorf("run again the epilog ends with %d: %s", status, log)
			}
			if status, log := n.deleteImage(p, "1", n.spec+"/one-1"); status != 0 {
				t.Fatalf("the base image's removal ends with %d: %s", status, log)
			}
			for _, d := range p.wait(3, quarantine.Quarantined) {
				if b := want[d.OriginalName]; b != nil {
					same(t, d.OriginalName+" after its base is gone", p.bytesOf(d.ID), b)
				}
			}
		})
	}
}

// With the daemon away a driver that fails open removes as before, says so, and
// keeps the report, which the daemon gets when it is back.
func TestOpenNebulaDriverFailsOpen(t *testing.T) {
	t.Parallel()
	n := newNebula(t, siteOptions{unguard: true}, true)
	_, clone := n.base("one-1", "19")
	n.vm("19", "3", "11", clone)
	status, log := n.epilog(nil, "19", clone)
	if status != 0 || !strings.Contains(log, "quarantine") {
		t.Fatalf("the epilog ends with %d, and says %q", status, log)
	}
	if live := n.live(); len(live) != 1 {
		t.Errorf("live are %q: the disk was to be removed as before", live)
	}
	p := n.start()
	n.executable(filepath.Join(n.remotes, "hook"), []byte(frontend.HookScript()))
	if status, log := n.driver(p, "hook", "", "--drain"); status != 0 {
		t.Fatalf("the spool is not drained: %d, %s", status, log)
	}
	if log := p.log.String(); !strings.Contains(log, "deletion recorded") || !strings.Contains(log, "vm=19") {
		t.Error("the daemon has not recorded what the driver removed")
	}
}

// With the daemon away a driver that fails closed removes nothing, and says what
// to do; when the daemon is back, a retry succeeds.
func TestOpenNebulaDriverFailsClosed(t *testing.T) {
	t.Parallel()
	n := newNebula(t, siteOptions{unguard: true}, true)
	n.mode = "fail-closed"
	content, clone := n.base("one-1", "19")
	n.vm("19", "3", "11", clone)
	status, log := n.epilog(nil, "19", clone)
	if status != 1 || !strings.Contains(log, "onevm recover --retry 19") {
		t.Fatalf("the epilog ends with %d, and says %q", status, log)
	}
	same(t, "the disk, which is live", n.content(n.spec+"/one-1-19-0"), content)
	p := n.start()
	if status, log := n.epilog(p, "19", clone); status != 0 {
		t.Fatalf("the retry ends with %d: %s", status, log)
	}
	same(t, "the disk", p.bytesOf(p.wait(1, quarantine.Quarantined)[0].ID), content)
}

// An image that is a clone of another VM's disk, as one that was restored may be,
// is removed without that disk: the original driver takes every parent whose
// name has the image's in it for one of the image's own.
func TestOpenNebulaDriverLeavesNeighbours(t *testing.T) {
	t.Parallel()
	for name, c := range nebulaCases {
		if !c.wrapped {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNebula(t, siteOptions{unguard: c.unguard}, true)
			p := n.start()
			neighbour := n.image("one-55-1-0")
			n.rbd("snap", "create", "--no-progress", n.spec+"/one-55-1-0@g")
			n.rbd("snap", "protect", n.spec+"/one-55-1-0@g")
			n.rbd("clone", n.spec+"/one-55-1-0@g", n.spec+"/one-5")
			if status, log := n.deleteImage(p, "5", n.spec+"/one-5"); status != 0 {
				t.Fatalf("the removal ends with %d: %s", status, log)
			}
			p.wait(1, quarantine.Quarantined)
			same(t, "the neighbour's disk", n.content(n.spec+"/one-55-1-0"), neighbour)
		})
	}
}
