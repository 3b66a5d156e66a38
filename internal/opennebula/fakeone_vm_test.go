package opennebula_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

type oneVM struct {
	id, uid, gid int
	name         string
	state, lcm   int
	stime, etime int64
	attrs, user  []attr
	disks        []int // the images
	// rest is what it goes through yet, a state with each call.
	rest [][2]int
}

// stepVM takes the VM to the next state.
func (f *fakeOne) stepVM(v *oneVM) {
	if len(v.rest) == 0 {
		return
	}
	if v.rest[0][0] == 6 {
		f.releaseImages(v)
		v.etime = f.clock
	}
	v.state, v.lcm, v.rest = v.rest[0][0], v.rest[0][1], v.rest[1:]
}

// releaseImages is VirtualMachine::release_disk_images: the images of a VM that
// did not get to its epilog are in doubt.
func (f *fakeOne) releaseImages(v *oneVM) {
	for _, id := range v.disks {
		i := f.images[id]
		if i == nil {
			continue
		}
		i.vms = slices.DeleteFunc(i.vms, func(vm int) bool { return vm == v.id })
		if i.state = 1; v.state == 3 && v.lcm != 11 {
			i.state = 5
		}
		i.before = i.state
	}
}

func (f *fakeOne) vmDoc(v *oneVM) string {
	attrs := append(slices.Clone(v.attrs), f.more...)
	for n, id := range v.disks {
		d := attr{name: "DISK", sub: []attr{
			{name: "CLONE", value: "NO"}, {name: "DATASTORE_ID", value: strconv.Itoa(dsImages)}, {name: "DISK_ID", value: strconv.Itoa(n)},
			{name: "DISK_TYPE", value: "RBD"}, {name: "IMAGE_ID", value: strconv.Itoa(id)}, {name: "PERSISTENT", value: "YES"},
			{name: "POOL_NAME", value: onePool}, {name: "TM_MAD", value: "ceph"}, {name: "TYPE", value: "RBD"},
		}}
		attrs = append(attrs, d)
	}
	attrs = append(attrs, attr{name: "VMID", value: strconv.Itoa(v.id)})
	return fmt.Sprintf("<VM><ID>%d</ID><UID>%d</UID><GID>%d</GID><UNAME>%s</UNAME><GNAME>%s</GNAME><NAME>%s</NAME>%s<LAST_POLL>0</LAST_POLL><STATE>%d</STATE><LCM_STATE>%d</LCM_STATE><PREV_STATE>%[8]d</PREV_STATE><PREV_LCM_STATE>%[9]d</PREV_LCM_STATE><RESCHED>0</RESCHED><STIME>%d</STIME><ETIME>%d</ETIME><DEPLOY_ID></DEPLOY_ID><MONITORING></MONITORING><SCHED_ACTIONS></SCHED_ACTIONS>",
		v.id, v.uid, v.gid, oneUsers[v.uid], oneGroups[v.gid], v.name, permissions, v.state, v.lcm, v.stime, v.etime) +
		"<TEMPLATE>" + attrsDoc(attrs) + "</TEMPLATE><USER_TEMPLATE>" + attrsDoc(v.user) + "</USER_TEMPLATE><HISTORY_RECORDS></HISTORY_RECORDS><BACKUPS><BACKUP_CONFIG/><BACKUP_IDS></BACKUP_IDS></BACKUPS></VM>"
}

// vm answers one.vm.*.
func (f *fakeOne) vm(uid int, c oneCall, what string) string {
	switch what {
	case "allocate":
		return f.allocateVM(uid, c)
	case "action":
		if v := f.vms[c.id(1)]; v != nil {
			return f.actOn(c, v, c.arg(0))
		}
		if !slices.Contains([]string{"release", "terminate", "terminate-hard"}, c.arg(0)) {
			return failing(c, 2048, fmt.Sprintf("Action %q is not supported", c.arg(0)), -1)
		}
		return failing(c, 1024, fmt.Sprintf("Error getting virtual machine [%d].", c.id(1)), c.id(1))
	}
	v := f.vms[c.id(0)]
	if v == nil {
		return failing(c, 1024, fmt.Sprintf("Error getting virtual machine [%d].", c.id(0)), c.id(0))
	}
	switch what {
	case "info":
		return good(f.vmDoc(v))
	case "chown":
		if c.id(1) >= 0 {
			v.uid = c.id(1)
		}
		if c.id(2) >= 0 {
			v.gid = c.id(2)
		}
		return goodID(v.id)
	case "recover":
		if v.state != 3 || c.id(1) != 3 {
			return failing(c, 2048, "Wrong state to perform action", -1)
		}
		v.rest = [][2]int{{3, 23}, {6, 0}}
		return goodID(v.id)
	}
	return failing(c, 4096, "Wrong method", -1)
}

// actOn is DispatchManager::terminate and release.
func (f *fakeOne) actOn(c oneCall, v *oneVM, action string) string {
	wrong := failing(c, 2048, fmt.Sprintf("Error performing action \"%s\": Could not terminate VM %d, wrong state %d/%d.", action, v.id, v.state, v.lcm), -1)
	switch {
	case action == "release" && v.state == 2:
		v.rest = f.path
	case action == "release":
		return wrong
	case v.state == 1 || v.state == 2 || v.state == 11:
		f.releaseImages(v)
		v.state, v.lcm, v.etime, v.rest = 6, 0, f.clock, nil
	case v.state == 3 && (v.lcm == 3 || v.lcm == 16):
		v.rest = [][2]int{{3, 12}, {3, 11}, {6, 0}}
	case v.state == 3 && (v.lcm == 36 || v.lcm == 39 || v.lcm == 40):
		v.rest = [][2]int{{3, 23}, {6, 0}}
	case v.state != 6:
		return wrong
	}
	return goodID(v.id)
}

func (f *fakeOne) allocateVM(uid int, c oneCall) string {
	attrs, err := parseTemplate(c.arg(0))
	if err != nil {
		return failing(c, 8192, "Parse error: XML Template malformed.", -1)
	}
	v := &oneVM{uid: uid, gid: userGroup[uid], state: 1, stime: f.clock, name: takeAttr(&attrs, "NAME")}
	if c.arg(1) == "1" {
		v.state = 2
		attrs = append(attrs, attr{name: "SUBMIT_ON_HOLD", value: "YES"})
	} else {
		v.rest = f.path
	}
	if why := badName(v.name); why != "" {
		return failing(c, 16384, why, -1)
	}
	for _, a := range attrs {
		if a.name != "DISK" {
			continue
		}
		id, _ := strconv.Atoi(takeAttr(&a.sub, "IMAGE_ID"))
		switch i := f.images[id]; {
		case i == nil:
			return failing(c, 8192, fmt.Sprintf("DISK %d: Image [%d] does not exist", len(v.disks), id), -1)
		case i.state != 1:
			return failing(c, 8192, fmt.Sprintf("DISK %d: Cannot acquire image %d, it is in state: %d", len(v.disks), id, i.state), -1)
		}
		v.disks = append(v.disks, id)
	}
	known := []string{"CPU", "VCPU", "MEMORY", "OS", "GRAPHICS", "NIC", "CONTEXT", "SUBMIT_ON_HOLD"}
	for _, a := range attrs {
		switch {
		case slices.Contains(known, a.name):
			v.attrs = append(v.attrs, a)
		case a.name != "DISK":
			v.user = append(v.user, a)
		}
	}
	v.id = f.newID("vm")
	for _, id := range v.disks {
		i := f.images[id]
		i.state, i.before, i.vms = 8, 8, append(i.vms, v.id)
	}
	f.vms[v.id] = v
	return goodID(v.id)
}

// lookVM is a copy of the VM; false if there is none, or it is DONE.
func (f *fakeOne) lookVM(id string) (oneVM, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := strconv.Atoi(id)
	if v := f.vms[n]; v != nil && err == nil && v.state != 6 {
		return *v, true
	}
	return oneVM{}, false
}

// called are the calls of that method, or of all, with their arguments.
func (f *fakeOne) called(method string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []string
	for _, c := range f.calls {
		if method == "" || strings.HasPrefix(c, method+"(") {
			found = append(found, c)
		}
	}
	return found
}
