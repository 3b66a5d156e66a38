package opennebula_test

import (
	"fmt"
	"slices"
	"strings"
)

type oneHook struct {
	id         int
	name, kind string
	attrs      []attr
}

func (h *oneHook) doc() string {
	return fmt.Sprintf("<HOOK><ID>%d</ID><NAME>%s</NAME><TYPE>%s</TYPE><TEMPLATE>%s</TEMPLATE></HOOK>", h.id, h.name, h.kind, attrsDoc(h.attrs))
}

// hook answers one.hook.*.
func (f *fakeOne) hook(c oneCall, what string) string {
	if what == "allocate" {
		return f.allocateHook(c)
	}
	h := f.hooks[c.id(0)]
	if h == nil {
		return failing(c, 1024, fmt.Sprintf("Error getting hook [%d].", c.id(0)), c.id(0))
	}
	switch what {
	case "delete":
		delete(f.hooks, h.id)
		return goodID(h.id)
	case "update":
		attrs, err := parseTemplate(c.arg(1))
		if err != nil || c.arg(2) != "0" {
			return failing(c, 8192, "Cannot update template. Parse error: XML Template malformed.", -1)
		}
		if why := h.check(attrs); why != "" {
			return failing(c, 8192, "Cannot update template. "+why, -1)
		}
		h.attrs = attrs
		return goodID(h.id)
	}
	return failing(c, 4096, "Wrong method", -1)
}

// check is post_update_template of oned's hooks.
func (h *oneHook) check(attrs []attr) string {
	attrs = slices.Clone(attrs)
	vm := takeAttr(&attrs, "RESOURCE") == "VM"
	switch {
	case takeAttr(&attrs, "COMMAND") == "":
		return "The COMMAND attribute is not defined."
	case h.kind == "api" && takeAttr(&attrs, "CALL") == "":
		return "The CALL attribute is not defined or it's invalid."
	case h.kind == "state" && takeAttr(&attrs, "STATE") == "":
		return "The STATE attribute is not defined or it's invalid."
	case h.kind == "state" && vm && takeAttr(&attrs, "LCM_STATE") == "":
		return "The LCM_STATE attribute is not defined or it's invalid."
	}
	return ""
}

func (f *fakeOne) allocateHook(c oneCall) string {
	attrs, err := parseTemplate(c.arg(0))
	if err != nil {
		return failing(c, 8192, "Parse error: XML Template malformed.", -1)
	}
	h := &oneHook{name: takeAttr(&attrs, "NAME"), kind: strings.ToLower(takeAttr(&attrs, "TYPE"))}
	for _, o := range f.hooks {
		if o.name == h.name {
			return failing(c, 16384, fmt.Sprintf("Error allocating a new hook. NAME is already taken by Hook %d.", o.id), -1)
		}
	}
	on, remote := strings.ToUpper(takeAttr(&attrs, "ON")), strings.ToUpper(takeAttr(&attrs, "REMOTE"))
	if remote != "YES" {
		remote = "NO"
	}
	attrs = append(attrs, attr{name: "REMOTE", value: remote})
	states := map[string][2]string{"DONE": {"DONE", "LCM_INIT"}, "SHUTDOWN": {"ACTIVE", "EPILOG"}, "RUNNING": {"ACTIVE", "RUNNING"}}
	if s, ok := states[on]; ok {
		takeAttr(&attrs, "STATE")
		takeAttr(&attrs, "LCM_STATE")
		attrs = append(attrs, attr{name: "STATE", value: s[0]}, attr{name: "LCM_STATE", value: s[1]})
	}
	if why := h.check(attrs); why != "" {
		return failing(c, 16384, "Error allocating a new hook. "+why, -1)
	}
	h.attrs, h.id = attrs, f.newID("hook")
	f.hooks[h.id] = h
	return goodID(h.id)
}
