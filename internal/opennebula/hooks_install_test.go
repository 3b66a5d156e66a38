package opennebula_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// The hooks of the tests: of a state with ON, of one without, of an image, of an
// API call.
func hookTemplates(command string) []opennebula.HookTemplate {
	text := func(name, more string) opennebula.HookTemplate {
		return opennebula.HookTemplate{Name: name, XML: "<TEMPLATE><NAME>" + name + "</NAME><COMMAND>" + command + "</COMMAND>" + more + "<ARGUMENTS_STDIN>yes</ARGUMENTS_STDIN></TEMPLATE>"}
	}
	return []opennebula.HookTemplate{
		text("quarantine-done", "<TYPE>state</TYPE><RESOURCE>VM</RESOURCE><ON>DONE</ON><ARGUMENTS>$TEMPLATE</ARGUMENTS><REMOTE>no</REMOTE>"),
		text("quarantine-epilog", "<TYPE>state</TYPE><RESOURCE>VM</RESOURCE><ON>CUSTOM</ON><STATE>ACTIVE</STATE><LCM_STATE>EPILOG</LCM_STATE><ARGUMENTS>$TEMPLATE</ARGUMENTS>"),
		text("quarantine-image", "<TYPE>state</TYPE><RESOURCE>IMAGE</RESOURCE><STATE>DELETE</STATE><ARGUMENTS>$TEMPLATE</ARGUMENTS>"),
		text("quarantine-api", "<TYPE>api</TYPE><CALL>one.image.delete</CALL><ARGUMENTS>$API</ARGUMENTS>"),
	}
}

// changes are the changes, a line each.
func changes(cs []opennebula.HookChange) string {
	var out []string
	for _, c := range cs {
		out = append(out, fmt.Sprintf("%s %s %d %v", c.What, c.Name, c.ID, c.Differs))
	}
	return strings.Join(out, "\n")
}

// Hooks are made where they are missing and changed where they differ; a second
// run finds nothing to do, and what has another name is never touched.
func TestInstallHooks(t *testing.T) {
	t.Parallel()
	f := newFakeOne(t)
	foreign := &oneHook{id: 0, name: "site", kind: "state", attrs: []attr{{name: "COMMAND", value: "x"}}}
	f.hooks[0], f.next["hook"] = foreign, 1
	h := opennebula.NewHookInstaller(f.api(t, nil))
	install := func(command string, dry bool, want string) {
		t.Helper()
		got, err := h.Install(t.Context(), hookTemplates(command), dry)
		if err != nil || changes(got) != want {
			t.Errorf("changes\n%s\nnot\n%s\n%v", changes(got), want, err)
		}
	}
	install("q.sh", true, "create quarantine-done -1 []\ncreate quarantine-epilog -1 []\ncreate quarantine-image -1 []\ncreate quarantine-api -1 []")
	if len(f.hooks) != 1 {
		t.Errorf("a dry run made hooks")
	}
	install("q.sh", false, "create quarantine-done 1 []\ncreate quarantine-epilog 2 []\ncreate quarantine-image 3 []\ncreate quarantine-api 4 []")
	install("q.sh", false, "")
	install("r.sh", true, "update quarantine-done 1 [COMMAND]\nupdate quarantine-epilog 2 [COMMAND]\nupdate quarantine-image 3 [COMMAND]\nupdate quarantine-api 4 [COMMAND]")
	install("q.sh", false, "")
	install("r.sh", false, "update quarantine-done 1 [COMMAND]\nupdate quarantine-epilog 2 [COMMAND]\nupdate quarantine-image 3 [COMMAND]\nupdate quarantine-api 4 [COMMAND]")
	install("r.sh", false, "")
	if got := f.hooks[1].attributes(); got["STATE"] != "DONE" || got["LCM_STATE"] != "LCM_INIT" || got["ON"] != "" || got["COMMAND"] != "r.sh" || got["ARGUMENTS"] != "$TEMPLATE" {
		t.Errorf("an updated hook is %v", got)
	}

	// Somebody has changed ours: an attribute more, another state, another type.
	f.hooks[1].attrs = append(f.hooks[1].attrs, attr{name: "TIMEOUT", value: "5"})
	takeAttr(&f.hooks[2].attrs, "LCM_STATE")
	f.hooks[2].attrs = append(f.hooks[2].attrs, attr{name: "LCM_STATE", value: "RUNNING"})
	f.hooks[4].kind = "state"
	install("r.sh", false, "update quarantine-done 1 [TIMEOUT]\nupdate quarantine-epilog 2 [LCM_STATE]\nreplace quarantine-api 5 []")
	install("r.sh", false, "")

	list, err := h.Hooks(t.Context())
	if err != nil || len(list) != 5 || list[4].Name != "site" || list[0].Type != "api" || list[0].Attributes["CALL"] != "one.image.delete" {
		t.Errorf("the hooks are %+v: %v", list, err)
	}
	names := []string{"quarantine-done", "quarantine-epilog", "quarantine-image", "quarantine-api", "quarantine-other"}
	for _, dry := range []bool{true, false} {
		got, err := h.Uninstall(t.Context(), names, dry)
		if want := "delete quarantine-done 1 []\ndelete quarantine-epilog 2 []\ndelete quarantine-image 3 []\ndelete quarantine-api 5 []"; err != nil || changes(got) != want {
			t.Errorf("dry %v: changes\n%s\n%v", dry, changes(got), err)
		}
		if want := map[bool]int{true: 5, false: 1}[dry]; len(f.hooks) != want {
			t.Errorf("dry %v: %d hooks are there", dry, len(f.hooks))
		}
	}
	if f.hooks[0] != foreign || !maps.Equal(foreign.attributes(), map[string]string{"COMMAND": "x"}) {
		t.Errorf("the site's own hook was touched: %+v", f.hooks[0])
	}
}

// Templates that cannot be right change nothing.
func TestInstallHooksInvalid(t *testing.T) {
	t.Parallel()
	ok := hookTemplates("q.sh")[0]
	for name, xml := range map[string]string{
		"no XML":       "NAME=x",
		"cut off":      ok.XML[:40],
		"another name": strings.Replace(ok.XML, "quarantine-done", "site", 1),
		"no command":   strings.Replace(ok.XML, "q.sh", "", 1),
		"no type":      strings.Replace(ok.XML, "<TYPE>state</TYPE>", "", 1),
	} {
		f := newFakeOne(t)
		h := opennebula.NewHookInstaller(f.api(t, nil))
		_, err := h.Install(t.Context(), []opennebula.HookTemplate{hookTemplates("q.sh")[1], {Name: ok.Name, XML: xml}}, false)
		if !errors.Is(err, quarantine.ErrInvalid) || len(f.called("")) > 0 {
			t.Errorf("%s: %v, calls %v", name, err, f.called(""))
		}
	}
	f := newFakeOne(t)
	if _, err := opennebula.NewHookInstaller(f.api(t, nil)).Install(t.Context(), []opennebula.HookTemplate{ok, ok}, false); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("twice: %v", err)
	}
}

// Whatever becomes of one call of an installation, the next one makes it whole.
func TestInstallHooksFaultWalk(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		for at := 1; at <= 12; at++ {
			f := newFakeOne(t)
			f.hooks[0] = &oneHook{id: 0, name: "quarantine-done", kind: "api", attrs: []attr{{name: "COMMAND", value: "x"}, {name: "CALL", value: "y"}}}
			f.hooks[1] = &oneHook{id: 1, name: "quarantine-image", kind: "state", attrs: []attr{{name: "COMMAND", value: "x"}, {name: "RESOURCE", value: "IMAGE"}, {name: "STATE", value: "DELETE"}}}
			f.next["hook"] = 2
			count := 0
			f.fault = func(oneCall) oneFault {
				if count++; count != at {
					return oneFault{}
				}
				return fault(func() {})
			}
			h := opennebula.NewHookInstaller(f.api(t, nil))
			_, err := h.Install(t.Context(), hookTemplates("q.sh"), false)
			clean(t, err)
			f.mu.Lock()
			f.fault = nil
			f.mu.Unlock()
			if _, err := h.Install(t.Context(), hookTemplates("q.sh"), false); err != nil {
				t.Errorf("%s at call %d: %v", name, at, err)
			}
			left, err := h.Install(t.Context(), hookTemplates("q.sh"), true)
			if err != nil || len(left) > 0 || len(f.hooks) != 4 {
				t.Errorf("%s at call %d: %v are left to do: %v", name, at, left, err)
			}
			if id := slices.Sorted(maps.Keys(f.hooks))[0]; id == 0 {
				t.Errorf("%s at call %d: the hook of another type is there", name, at)
			}
		}
	}
}
