package opennebula_test

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// A configuration that cannot be right is refused before anybody is asked, and
// the password in a URL is not repeated.
func TestNewAPIRefused(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]opennebula.APIConfig{
		"another scheme":       {Endpoint: "ftp://one/RPC2"},
		"no host":              {Endpoint: "http:///RPC2"},
		"no URL":               {Endpoint: "http://one:x/RPC2"},
		"a user in it":         {Endpoint: "http://oneadmin:hunter2@one/RPC2"},
		"a user, and no URL":   {Endpoint: "http://oneadmin:hunter2@one:x/RPC2"},
		"no certificates":      {Endpoint: "https://one/RPC2", CAFile: empty},
		"no certificates file": {Endpoint: "https://one/RPC2", CAFile: empty + ".nosuch"},
	} {
		cfg.AuthFile, cfg.Clock = empty, func() time.Time { return now }
		_, err := opennebula.NewAPI(cfg)
		checkError(t, err)
		if err == nil || !errors.Is(err, quarantine.ErrInvalid) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where the configuration says nothing, the variables of OpenNebula's own tools
// do.
func TestNewAPIDefaults(t *testing.T) {
	f := vmInfo(t, vmOf(7, ""))
	auth := filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(auth, []byte(session), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ONE_XMLRPC", f.url)
	t.Setenv("ONE_AUTH", auth)
	api, err := opennebula.NewAPI(opennebula.APIConfig{Cloud: cloud, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(t, api); err != nil || api.Name() != cloud || len(f.made()) != 1 {
		t.Errorf("%v, cloud %q, asked %q", err, api.Name(), f.made())
	}
}

// The session goes only to a front-end whose certificate is trusted.
func TestAPITrust(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer(vmOf(7, ""))) }))
	t.Cleanup(srv.Close)
	if err := ask(t, newAPI(t, srv.URL, nil)); !errors.Is(err, quarantine.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ask(t, newAPI(t, srv.URL, func(c *opennebula.APIConfig) { c.CAFile = ca })); err != nil {
		t.Error(err)
	}
}
