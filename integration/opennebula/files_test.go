package frontend_test

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	frontend "quarantine/integration/opennebula"
)

// Both scripts pass shellcheck, as scripts of a POSIX sh.
func TestShellcheck(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(find(t, "shellcheck"), "--shell=sh", "--norc", "hook", "driver").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// What the scripts have in common is the same in both: each is one file, so
// that it can be installed alone.
func TestCommonPart(t *testing.T) {
	t.Parallel()
	var parts []string
	for _, script := range []string{frontend.HookScript(), frontend.DriverScript()} {
		_, rest, ok := strings.Cut(script, "\n# ---- common: the same lines are in hook and driver ----\n")
		common, _, ok2 := strings.Cut(rest, "\n# ---- end of common ----\n")
		if !ok || !ok2 {
			t.Fatal("there are no marks")
		}
		parts = append(parts, common)
	}
	equal(t, "driver", parts[1], parts[0])
}

// The scripts' paths are the same in all files, and the scripts executable.
func TestPaths(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		frontend.DrainService(): "\nExecStart=" + frontend.HookPath + " --drain\n",
		frontend.DrainTimer():   "\nWantedBy=timers.target\n",
		frontend.HookScript():   "${QUARANTINE_CONF:-" + frontend.ConfPath + "}",
		frontend.DriverScript(): "${QUARANTINE_CONF:-" + frontend.ConfPath + "}",
		frontend.Conf():         "\nTOKEN_FILE=" + frontend.TokenPath + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	equal(t, "units", filepath.Base(frontend.DrainServicePath)+" "+filepath.Base(frontend.DrainTimerPath), "quarantine-drain.service quarantine-drain.timer")
	for _, script := range []string{"hook", "driver"} {
		info, err := os.Stat(script)
		if err != nil || info.Mode().Perm()&0o111 != 0o111 {
			t.Errorf("%s: %v, %v", script, info, err)
		}
	}
}

// hooks/ has the templates of all hooks, for an installation by hand.
func TestTemplateFiles(t *testing.T) {
	t.Parallel()
	var want []string
	for _, h := range frontend.Hooks() {
		path := "hooks/" + h.Name + ".xml"
		want = append(want, path)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, path, string(b), frontend.Template(h, frontend.HookPath)+"\n")
	}
	got, err := filepath.Glob("hooks/*")
	if err != nil {
		t.Fatal(err)
	}
	equalAll(t, "files", got, slices.Sorted(slices.Values(want))...)
}

// A template has the attributes of the hooks of a real OpenNebula, which keeps
// them but for ON, and the states that are recorded there are the same.
func TestTemplates(t *testing.T) {
	t.Parallel()
	type attribute struct {
		XMLName xml.Name
		Value   string `xml:",chardata"`
	}
	type template struct {
		Attributes []attribute `xml:",any"`
	}
	parse := func(attributes []attribute) map[string]string {
		out := map[string]string{}
		for _, a := range attributes {
			out[a.XMLName.Local] = a.Value
		}
		return out
	}
	var answer struct {
		Pools []string `xml:"params>param>value>array>data>value>string"`
	}
	if err := xml.Unmarshal([]byte(recorded(t, "hookpool_info.response.xml")), &answer); err != nil || len(answer.Pools) != 1 {
		t.Fatal(err)
	}
	var pool struct {
		Hooks []struct {
			Type     string   `xml:"TYPE"`
			Template template `xml:"TEMPLATE"`
		} `xml:"HOOK"`
	}
	if err := xml.Unmarshal([]byte(answer.Pools[0]), &pool); err != nil || len(pool.Hooks) != 18 {
		t.Fatal(len(pool.Hooks), err)
	}
	real := map[string]map[string]string{} // by what the hook is for
	about := func(h map[string]string) string {
		return strings.Join([]string{h["RESOURCE"], h["STATE"], h["LCM_STATE"], h["CALL"]}, "/")
	}
	for _, h := range pool.Hooks {
		attributes := parse(h.Template.Attributes)
		if attributes["ARGUMENTS_STDIN"] == "yes" {
			attributes["TYPE"] = h.Type
			real[about(attributes)] = attributes
		}
	}

	const command = `/var/lib/one/remotes/hooks/a&b<'">`
	var got []string
	names := map[string]bool{}
	for _, h := range frontend.Hooks() {
		var parsed template
		if err := xml.Unmarshal([]byte(frontend.Template(h, command)), &parsed); err != nil {
			t.Fatal(err)
		}
		attributes := parse(parsed.Attributes)
		got = append(got, about(attributes))
		equal(t, "attributes that are there twice", len(attributes), len(parsed.Attributes))
		equal(t, "command", attributes["COMMAND"], command)
		if !strings.HasPrefix(h.Name, "quarantine-") || names[h.Name] || attributes["NAME"] != h.Name {
			t.Errorf("name %q", h.Name)
		}
		names[h.Name] = true
		if h.Resource == "VM" && (h.On == "" || h.On == "SHUTDOWN") {
			t.Errorf("%s: ON=%s", h.Name, h.On)
		}
		want, ok := real[about(attributes)]
		if !ok { // not recorded: HOTPLUG and its like
			continue
		}
		delete(attributes, "NAME")
		delete(attributes, "ON")
		attributes["COMMAND"] = want["COMMAND"]
		for key, value := range attributes {
			equal(t, h.Name+": "+key, value, want[key])
		}
		equal(t, "attributes", len(attributes), len(want))
	}
	equalAll(t, "hooks", slices.Sorted(slices.Values(got)),
		"///one.image.delete", "IMAGE/DELETE//", "VM/ACTIVE/CLEANUP_DELETE/", "VM/ACTIVE/CLEANUP_RESUBMIT/", "VM/ACTIVE/EPILOG/",
		"VM/ACTIVE/EPILOG_FAILURE/", "VM/ACTIVE/HOTPLUG/", "VM/ACTIVE/HOTPLUG_EPILOG_POWEROFF/", "VM/DONE/LCM_INIT/")
}
