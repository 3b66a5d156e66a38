package client_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quarantine/internal/api/client"
	"quarantine/internal/quarantine"
)

// A server with a certificate of our own authority is trusted with the file
// that names it, and with no other.
func TestTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(answer(http.StatusOK, "application/json", `{"version":"1"}`))
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := dial(t, srv.URL, func(cfg *client.Config) { cfg.CAFile = file })
	if st, err := c.Status(t.Context()); err != nil || st.Version != "1" {
		t.Errorf("with the file: %+v, %v", st, err)
	}
	if _, err := dial(t, srv.URL).Status(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("without it: %v", err)
	}
}

// A configuration that cannot work is refused before anything is sent, and no
// secret is in the error.
func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "no.pem")
	if err := os.WriteFile(file, []byte("quite-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]client.Config{
		"no scheme":      {Server: "127.0.0.1:8840"},
		"no host":        {Server: "http://"},
		"another scheme": {Server: "ftp://host"},
		"a password":     {Server: "http://me:quite-secret@host"},
		"a bad port":     {Server: "http://me:quite-secret@host:port"},
		"a query":        {Server: "http://host?x=1"},
		"two lines":      {Server: "http://host", Token: "quite-secret\nX: y"},
		"no certificate": {Server: "https://host", CAFile: file},
	} {
		c, err := client.New(cfg)
		if !errors.Is(err, quarantine.ErrInvalid) || c != nil {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), "quite-secret") {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
	if _, err := client.New(client.Config{Server: "https://host", CAFile: file + "x"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}
