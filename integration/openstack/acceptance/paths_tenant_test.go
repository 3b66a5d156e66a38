//go:build openstack

package acceptance

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	openstacklab "quarantine/integration/openstack"
	"quarantine/internal/api/wire"
)

// hostile are names that mean something to a shell, to SQL, HTML, CEL, a log
// or a terminal, and that Nova takes as a server's.
var hostile = map[string]string{
	"SQL":     `x'); DROP TABLE disks; --`,
	"HTML":    `<script>alert("1")</script><img src=x onerror=alert(1)>`,
	"CEL":     `" || true || "drop" in metadata || "`,
	"quotes":  "a \"b\" 'c' `d` %s %n $(reboot) {{.}} \\",
	"log":     `x level=ERROR msg="all is lost" disk=0`,
	"pattern": `%_.*?[a-z]%`,
	// The longest that Nova takes.
	"emoji": strings.Repeat("☠", 255),
}

// astral are characters beyond U+FFFF, of which Nova takes none in a name.
var astral = strings.Repeat("💀", 255)

// dirty is what a tenant can put where Nova and Cinder do not look: lines,
// terminal sequences, a direction, and a line that looks like a log's.
const dirty = "one\ntwo\r\ntime=1999-01-01T00:00:00Z level=ERROR msg=forged\tthree\x1b[31m\x1b]0;title\a\u202eevil' OR '1'='1"

// No string of a tenant's breaks a query, a table, a log line or a rule, and
// each is found again as it was.
func TestTenantsStrings(t *testing.T) {
	s := running(t)
	t.Run("in names and metadata", func(t *testing.T) {
		for what, name := range hostile {
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				hostileServer(t, s, name)
			})
		}
		for what, name := range map[string]string{"dirty": dirty, "astral": astral} {
			t.Run("in a volume's/"+what, func(t *testing.T) {
				t.Parallel()
				hostileVolume(t, s, name)
			})
		}
	})
	all := s.disks(t)
	table := s.mustCtl(t, "list", "--all")
	if lines := strings.Count(strings.TrimSpace(table), "\n"); lines != len(all) {
		t.Errorf("the table of %d disks has %d lines below its head:\n%s", len(all), lines, table)
	}
	plainText(t, "the table", table)
	for line := range strings.Lines(s.daemon.text()) {
		if !strings.HasPrefix(line, "time=20") || strings.Contains(line, `msg="all is lost"`) {
			t.Errorf("a tenant wrote a line of the log: %q", line)
		}
		plainText(t, "the log", line)
	}
}

// plainText expects nothing that moves a terminal's cursor or its colours.
func plainText(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			t.Errorf("%s has the character %U: %q", what, r, text)
			return
		}
	}
}

func hostileServer(t *testing.T, s *site, name string) {
	demo := s.person(t, openstacklab.Demo())
	v, err := demo.Boot(t.Context(), openstacklab.ServerSpec{
		Name: name, NoNetwork: true, Metadata: map[string]string{"note": dirty, "name": name, "astral": astral},
	})
	must(t, err)
	must(t, demo.Delete(t.Context(), v.ID))
	must(t, demo.WaitGone(t.Context(), v.ID))
	d := s.died(t, []string{v.ID}, fate{v.ID + "_disk", "delete", "root"})[0]
	s.owned(t, d, demo, demo, name, nil)
	if d.Metadata["note"] != dirty || d.Metadata["name"] != name || d.Metadata["astral"] != astral {
		t.Errorf("the metadata are %q", d.Metadata)
	}
	ordinary(t, s, d)
	for _, found := range s.disks(t, "--vm", name) {
		if found.ResourceName != name {
			t.Errorf("list --vm %q finds %q", name, found.ResourceName)
		}
	}
	s.together(t, v.ID, d)
	for _, filter := range []string{"--project", "--user", "--name", "--case"} {
		if found := s.disks(t, filter, name); len(found) != 0 {
			t.Errorf("list %s %q finds %d disks", filter, name, len(found))
		}
	}
	if _, code := s.ctl(t, "list", "--address", name); code != 2 {
		t.Errorf("list --address %q: exit status %d, want 2: it is none", name, code)
	}
	plainText(t, "show", s.mustCtl(t, "show", d.ID))
	plainText(t, "policy explain", s.mustCtl(t, "policy", "explain", d.ID))
}

func hostileVolume(t *testing.T, s *site, name string) {
	demo := s.person(t, openstacklab.Demo())
	v, err := demo.CreateVolume(t.Context(), openstacklab.VolumeSpec{Name: name, Extra: object{"metadata": object{"k": dirty}}})
	must(t, err)
	must(t, demo.DeleteVolume(t.Context(), v.ID))
	must(t, demo.WaitVolumeGone(t.Context(), v.ID))
	d := s.died(t, []string{"volume-" + v.ID}, fate{"volume-" + v.ID, "volume-delete", "volume"})[0]
	s.owned(t, d, demo, demo, name, nil)
	if d.Metadata["k"] != dirty {
		t.Errorf("the metadata are %q", d.Metadata)
	}
	ordinary(t, s, d)
	plainText(t, "show", s.mustCtl(t, "show", d.ID))
}

// ordinary expects that the default rule, and no other, decided. A disk that
// was here before its event keeps what the rule for unexplained ones promised.
func ordinary(t *testing.T, s *site, d wire.Disk) {
	t.Helper()
	if kept := d.RetainUntil.Sub(d.DeletedAt); d.Rule != "default" || kept < 10*day || kept > 21*day {
		t.Errorf("the disk of %q is kept for %s by rule %q (%s), want the default's ten days", d.ResourceName, kept, d.Rule, d.Reason)
	}
}

const day = 24 * time.Hour

// What a tenant asks for with metadata lengthens the time that the disk is
// kept, and never shortens it.
func TestTenantsWishes(t *testing.T) {
	s := running(t)
	for what, c := range map[string]struct {
		metadata map[string]string
		least    time.Duration
		rule     string
	}{
		"longer":  {map[string]string{"keep": "please"}, 90 * day, "wished-longer"},
		"shorter": {map[string]string{"drop": "now"}, 10 * day, "default"},
		"both":    {map[string]string{"keep": "please", "drop": "now"}, 90 * day, "wished-longer"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			alice := s.person(t, openstacklab.Alice())
			v, err := alice.Boot(t.Context(), openstacklab.ServerSpec{Name: "wishes", NoNetwork: true, Metadata: c.metadata})
			must(t, err)
			must(t, alice.Delete(t.Context(), v.ID))
			must(t, alice.WaitGone(t.Context(), v.ID))
			disk := s.died(t, []string{v.ID}, fate{v.ID + "_disk", "delete", "root"})[0]
			until(t, func() string {
				d := s.show(t, disk.ID).Disk
				if kept := d.RetainUntil.Sub(d.DeletedAt); kept >= c.least && d.Rule == c.rule {
					return ""
				}
				return fmt.Sprintf("want %s by %s; the disk is known as %s", c.least, c.rule, asJSON(d))
			})
		})
	}
}
