package openstack

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// TestAPIConfig proves that a configuration that cannot work is refused at the
// start, without a request and without a secret in the error.
func TestAPIConfig(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, text string) string {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, change := range map[string]func(*testing.T, *APIConfig){
		"no cloud":       func(_ *testing.T, c *APIConfig) { c.Cloud = "" },
		"no clock":       func(_ *testing.T, c *APIConfig) { c.Clock = nil },
		"page size":      func(_ *testing.T, c *APIConfig) { c.PageSize = 1001 },
		"timeout":        func(_ *testing.T, c *APIConfig) { c.Timeout = -1 },
		"microversion":   func(_ *testing.T, c *APIConfig) { c.ComputeVersion = "latest" },
		"interface":      func(_ *testing.T, c *APIConfig) { c.Interface = "private" },
		"no entry named": func(_ *testing.T, c *APIConfig) { c.Entry = "" },
		"no such entry":  func(_ *testing.T, c *APIConfig) { c.Entry = "other" },
		"no such file":   func(_ *testing.T, c *APIConfig) { c.CloudsFile += "x" },
		"no such CA":     func(_ *testing.T, c *APIConfig) { c.CAFile = c.CloudsFile + "x" },
		"no CA":          func(_ *testing.T, c *APIConfig) { c.CAFile = c.CloudsFile },
		"no auth_url": func(t *testing.T, c *APIConfig) {
			c.CloudsFile = write(t, "clouds: {lab: {auth: {username: a, password: "+testPassword+"}}}")
		},
		"no YAML": func(t *testing.T, c *APIConfig) { c.CloudsFile = write(t, "clouds: {lab: {auth: "+testPassword+"}}") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, "http://127.0.0.1:1")
			change(t, &cfg)
			_, err := NewAPI(cfg)
			if !errors.Is(err, quarantine.ErrInvalid) || strings.Contains(err.Error(), testPassword) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestAPISecureFile proves that the password may be in a secure.yaml beside the
// clouds.yaml.
func TestAPISecureFile(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	cfg := config(t, f.URL)
	text, err := os.ReadFile(cfg.CloudsFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"clouds.yaml": strings.ReplaceAll(string(text), ", password: "+testPassword, ""),
		"secure.yaml": "clouds: {lab: {auth: {password: from-the-secure-file}}}",
	} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(cfg.CloudsFile), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := NewAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.VolumePool(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if body := f.logins[0]; !strings.Contains(body, "from-the-secure-file") {
		t.Errorf("%s", body)
	}
}

// TestAPIEnvironment proves that the OS_* variables are a credential as well:
// a password in two domains, an application credential, a trust.
func TestAPIEnvironment(t *testing.T) {
	f := newFakeCloud(t)
	for _, name := range []string{"OS_CLOUD", "OS_CACERT", "OS_INTERFACE", "OS_REGION_NAME", "OS_PROJECT_ID", "OS_TOKEN"} {
		t.Setenv(name, "")
	}
	cfg := APIConfig{Cloud: cloudName, Clock: time.Now}
	if _, err := NewAPI(cfg); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("no credential: %v", err)
	}
	t.Setenv("OS_AUTH_URL", f.URL+"/identity/v3")
	logIn := func(want ...string) {
		t.Helper()
		a, err := NewAPI(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.session(t.Context()); err != nil {
			t.Fatal(err)
		}
		body := f.logins[len(f.logins)-1]
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s is not in %s", w, body)
			}
		}
	}
	t.Run("application credential", func(t *testing.T) {
		t.Setenv("OS_APPLICATION_CREDENTIAL_ID", "ac1")
		t.Setenv("OS_APPLICATION_CREDENTIAL_SECRET", testPassword)
		t.Setenv("OS_PROJECT_NAME", "ignored")
		logIn(`"application_credential":{"id":"ac1"`)
	})
	t.Setenv("OS_USERNAME", "keeper")
	t.Setenv("OS_PASSWORD", testPassword)
	t.Setenv("OS_USER_DOMAIN_NAME", "staff")
	t.Setenv("OS_PROJECT_NAME", "ops")
	t.Setenv("OS_PROJECT_DOMAIN_ID", "d2")
	logIn(`"domain":{"name":"staff"}`, `"project":{"domain":{"id":"d2"},"name":"ops"}`)
	t.Setenv("OS_TRUST_ID", "trust1")
	logIn(`"OS-TRUST:trust":{"id":"trust1"}`)
	t.Setenv("OS_PASSWORD", "")
	if _, err := NewAPI(cfg); !errors.Is(err, quarantine.ErrInvalid) {
		t.Errorf("no password: %v", err)
	}
}

// TestAPITrustsTheCA proves that a cloud with a certificate of its own CA is
// refused, and with the CA's file is not.
func TestAPITrustsTheCA(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	secure := httptest.NewUnstartedServer(f)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of the refused handshake
	secure.StartTLS()
	t.Cleanup(secure.Close)
	cfg := config(t, secure.URL)
	cfg.Retries = -1
	a, err := NewAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.session(t.Context()); !errors.Is(err, quarantine.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown CA: %v", err)
	}
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(cfg.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err = NewAPI(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := a.session(t.Context()); err != nil {
		t.Errorf("known CA: %v", err)
	}
}

// TestEndpoints proves that the region and the interface choose the endpoint,
// and that a service that the catalog does not have is told.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	for _, change := range []func(*APIConfig){
		func(c *APIConfig) { c.Region = "RegionTwo" },
		func(c *APIConfig) { c.Region, c.Interface = "RegionOne", "internal" },
	} {
		a := newTestAPI(t, f, change)
		_, err := a.VolumePool(t.Context(), "")
		if want := a.endpoints.Region == "RegionTwo"; want != errors.Is(err, quarantine.ErrInvalid) || !want && err != nil {
			t.Errorf("%+v: %v", a.endpoints, err)
		}
	}
	for in, want := range map[string]string{
		"http://h/identity/v3/": "http://h/identity/", "http://h:9292/": "http://h:9292/", "http://v2cloud/": "http://v2cloud/", "http://h/v2.1/": "http://h/", "http://h/image/": "http://h/image/",
	} {
		if got := unversioned(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestMicroversions proves that the highest version that both sides have is
// spoken.
func TestMicroversions(t *testing.T) {
	t.Parallel()
	for has, want := range map[string]string{"2.93": "2.90", "2.90": "2.90", "2.72": "2.72", "": "", "x": ""} {
		f := newFakeCloud(t)
		f.on("GET /compute/v2.1/", reply(200, `{"version": {"version": "`+has+`"}}`))
		s, err := newTestAPI(t, f).session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.service(t.Context(), compute)
		if err != nil || c.Microversion != want {
			t.Errorf("%s: %q, want %q: %v", has, c.Microversion, want, err)
		}
	}
}

// TestNamesExpire proves that a name is asked for again after its time, and
// that no more than the limit are kept.
func TestNamesExpire(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_800_000_000, 0)
	n := newNames(func() time.Time { return at }, time.Hour)
	k := nameKey{kindUser, "1"}
	n.put(k, quarantine.Principal{ID: "1", Name: "one"})
	if p, ok := n.get(k); !ok || p.Name != "one" {
		t.Errorf("%+v %v", p, ok)
	}
	at = at.Add(time.Hour)
	if _, ok := n.get(k); ok {
		t.Error("it is there after its time")
	}
	for i := range maxNames + 10 {
		n.put(nameKey{kindUser, string(rune('a'+i%26)) + time.Duration(i).String()}, quarantine.Principal{})
	}
	if len(n.known) > maxNames {
		t.Errorf("%d are kept", len(n.known))
	}
}
