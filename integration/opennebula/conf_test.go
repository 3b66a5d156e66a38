package frontend_test

import (
	"fmt"
	"strings"
	"testing"

	frontend "quarantine/integration/opennebula"
)

// What is wrong in a configuration is said without repeating values, which may
// be secrets. The hook keeps its message, in the spool that is configured if
// that can be understood; the driver acts as if the daemon were away.
func TestBadConfiguration(t *testing.T) {
	const secret = "s3cret"
	eachShell(t, func(t *testing.T, w *world) {
		w.install()
		w.write("two-words", 0o600, "two words\n")
		w.write("quote", 0o600, "a\"\n")
		w.write("empty", 0o600, "\nx\n")
		c := calls()[0]
		var want []string
		for _, bad := range []struct{ line, says string }{
			{"COLOUR=" + secret, "unknown key COLOUR"},
			{"URL =http://x", "unknown key URL"},
			{"TOKEN=" + secret, "unknown key TOKEN"},
			{secret, "line 9 is not KEY=VALUE"},
			{"=", "unknown key"},
			{"URL=ftp://x", "URL does not begin with http"},
			{"URL=http://", "URL does not begin with http"},
			{"URL=", "URL does not begin with http"},
			{"URL=http://u:" + secret + "@x", "URL has characters"},
			{"URL=\"http://x\"", "URL has characters"},
			{"URL=http://x y", "URL has characters"},
			{"URL=http://x\r", "URL has characters"},
			{"URL=http://$(touch " + w.dir + "/pwned)", "URL has characters"},
			{"URL=http://x?a=b", "URL has characters"},
			{"TOKEN_FILE=token", "TOKEN_FILE is not an absolute path"},
			{"TOKEN_FILE=" + w.dir + "/none", "no token in the first line of " + w.dir + "/none"},
			{"TOKEN_FILE=" + w.dir + "/empty", "no token in the first line of"},
			{"TOKEN_FILE=" + w.dir + "/two-words", "has characters that a bearer token cannot have"},
			{"TOKEN_FILE=" + w.dir + "/quote", "has characters that a bearer token cannot have"},
			{"TOKEN_FILE=" + w.dir, "no token in the first line of"},
			{"CA_CERT=" + w.dir + "/none", "CA_CERT cannot be read"},
			{"CA_CERT=ca.pem", "CA_CERT is not an absolute path"},
			{"CLOUD=a&b", "CLOUD may have letters"},
			{"CLOUD=", "CLOUD may have letters"},
			{"HOOK_LIMIT=0", "HOOK_LIMIT is not a number above 0"},
			{"HOOK_LIMIT=5s", "HOOK_LIMIT is not a number"},
			{"DRIVER_LIMIT=-1", "DRIVER_LIMIT is not a number"},
			{"DRIVER_LIMIT=08", "DRIVER_LIMIT is not a number above 0"},
			{"DRIVER_LIMIT=1000", "DRIVER_LIMIT is above 999"},
			{"SPOOL_MAX=many", "SPOOL_MAX is not a number"},
			{"COLOUR=red\nSHAPE=round", "unknown key COLOUR; unknown key SHAPE"},
		} {
			w.configure()
			conf := w.left("conf")
			w.write("conf", 0o644, conf+bad.line)
			got := w.hook(bad.line)
			ended(t, got, 0, "configuration "+w.dir+"/conf: ", bad.says)
			if strings.Contains(got.stderr, secret) {
				t.Errorf("it shows a value: %s", got.stderr)
			}
			want = append(want, bad.line)
		}
		ended(t, w.driver(c), 0, "unknown key COLOUR; unknown key SHAPE", "the original runs")
		equalAll(t, "waits", w.waits(), append(want, c.told())...)
		ended(t, w.hook("", "--drain"), 1, "unknown key COLOUR; unknown key SHAPE")
		ended(t, w.hook("", "--status"), 1, "unknown key COLOUR; unknown key SHAPE")
		equal(t, "executed", w.left("pwned"), "")
		equal(t, "requests", len(w.daemon.requests()), 0)
		equalAll(t, "kept elsewhere", w.messages(w.dir+"/default-spool"))
	})
}

// Where the configuration does not tell the spool the default one is used, and
// emptied when it does again. A MODE that is not understood is fail-closed.
func TestBadSpoolAndMode(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.install()
		c := calls()[1]
		for i, spool := range []string{"relative", "", "/\x01"} {
			w.configure()
			w.write("conf", 0o644, w.left("conf")+"SPOOL="+spool+"\n")
			// The last line of two counts, and is bad: the first stays.
			ended(t, w.hook(fmt.Sprint("kept ", i)), 0, "SPOOL ")
		}
		equalAll(t, "waits", w.waits(), "kept 0", "kept 1", "kept 2")
		w.configure("SPOOL", "relative")
		ended(t, w.hook("1"), 0, "SPOOL is not an absolute path")
		ended(t, w.driver(c), 0, "SPOOL is not an absolute path", "the original runs, and the report waits in "+w.dir+"/default-spool")
		w.write("conf", 0o644, "")
		w.configure("SPOOL", w.spool, "MODE", "fail_closed")
		ended(t, w.driver(c), 1, "MODE is neither fail-open nor fail-closed, and taken as fail-closed", "refused")
		w.ran(c, 1)
		w.configure("MODE", "fail-open")
		equalAll(t, "kept by default", w.messages(w.dir+"/default-spool"), "1", c.told())
		ended(t, w.hook("2"), 0)
		equalAll(t, "received", w.daemon.bodies()[3:], "1", c.told(), "2")

		// No configuration at all.
		w.link(w.dir+"/nowhere", "conf")
		ended(t, w.hook("3"), 0, "configuration "+w.dir+"/conf: cannot read it")
		ended(t, w.driver(c), 0, "cannot read it", "the original runs")
		equalAll(t, "kept by default", w.messages(w.dir+"/default-spool"), "3", c.told())
	})
}

// The template of the configuration is good, and what is commented out in it
// is the default.
func TestConfTemplate(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.install()
		template := strings.ReplaceAll(frontend.Conf(), frontend.TokenPath, w.dir+"/token")
		w.write("conf", 0o644, template)
		w.start(strings.NewReader("message"), "hook").end() // nobody may be at the default URL
		equalAll(t, "kept by default", w.messages(w.dir+"/default-spool"), "message")

		w.write("ca.pem", 0o644, "")
		all := strings.NewReplacer("\n# ", "\n", "/etc/quarantine/ca.pem", w.dir+"/ca.pem", frontend.SpoolPath, w.dir+"/default-spool").Replace(template)
		_, all, _ = strings.Cut(all, "KEY=VALUE, without quotes. What is commented out stands at its default.\n")
		w.write("conf", 0o644, all)
		ended(t, w.hook("", "--status"), 0)
		keys := strings.Count(all, "\n")
		equal(t, "keys", keys, 9)
		for line := range strings.Lines(all) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if key == "TOKEN_FILE" || key == "CA_CERT" || key == "CLOUD" {
				continue
			}
			variable := "conf_" + strings.ToLower(key)
			value = strings.Replace(value, w.dir+"/default-spool", "$default_spool", 1)
			if !strings.Contains(frontend.HookScript(), variable+"="+value) {
				t.Errorf("%s is not the default of %s", value, key)
			}
		}
	})
}
