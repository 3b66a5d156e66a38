package opennebula

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"quarantine/internal/quarantine"
)

// APIConfig says how a front-end's XML-RPC API is reached, and with whose
// credential.
type APIConfig struct {
	// Cloud is the configured name of the cloud.
	Cloud string
	// Endpoint is oned's XML-RPC URL; default $ONE_XMLRPC, else
	// http://localhost:2633/RPC2.
	Endpoint string
	// AuthFile holds "user:password" in its first line; default $ONE_AUTH, else
	// ~/.one/one_auth. It is read for every call, so that it can be changed.
	// The user must be oneadmin, or in its group: only that sees all VMs, and
	// only oneadmin may make an image of an RBD image that exists.
	AuthFile string
	// CAFile has the certificates to trust, in place of the system's.
	CAFile string
	// Timeout is for one call with its answer; default 60 s.
	Timeout time.Duration
	// Poll is how often a resource that is being made or deleted is looked at;
	// default 1 s.
	Poll time.Duration
	// Wait is how long it is looked for before it counts as failed, and is taken
	// back; default 10 min.
	Wait time.Duration
	// PageSize is how many VMs or images are asked for at once; default 200. An
	// extended VM has 13–20 kB.
	PageSize int
	// MaxAnswer bounds an answer, in bytes; default 64 MiB.
	MaxAnswer int64
	// Datastore is the image datastore for what is restored, by name or id,
	// where the order names none.
	Datastore string
	// Pools are the pools in the service's care. A datastore's pool is one of
	// these, found by POOL_NAME.
	Pools []quarantine.Pool
	// Images renames RBD images, which OpenNebula does not. Without it nothing can
	// be made a volume of.
	Images quarantine.Renamer
	Clock  quarantine.Clock
}

// API is the XML-RPC API of one front-end.
type API struct {
	cfg    APIConfig
	client *http.Client
	names  *names
}

// NewAPI makes the client. The front-end need not be up. An error wraps
// ErrInvalid if the configuration cannot be right.
func NewAPI(cfg APIConfig) (*API, error) {
	cfg.Endpoint = cmp.Or(cfg.Endpoint, os.Getenv("ONE_XMLRPC"), "http://localhost:2633/RPC2")
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, invalidf("the endpoint is no URL") // it may hold a password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, invalidf("endpoint %q is no http:// or https:// URL without a user", cut(u.Redacted(), 80))
	}
	if cfg.AuthFile = cmp.Or(cfg.AuthFile, os.Getenv("ONE_AUTH")); cfg.AuthFile == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("%w: opennebula: auth_file is not set, and there is no home directory to look in", quarantine.ErrInvalid)
		}
		cfg.AuthFile = home + "/.one/one_auth"
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Minute)
	cfg.Poll = cmp.Or(cfg.Poll, time.Second)
	cfg.Wait = cmp.Or(cfg.Wait, 10*time.Minute)
	cfg.PageSize = cmp.Or(cfg.PageSize, 200)
	cfg.MaxAnswer = cmp.Or(cfg.MaxAnswer, 64<<20)
	trust, err := trusted(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	return &API{cfg: cfg, client: newClient(cfg.Timeout, cfg.MaxAnswer, trust), names: newNames(cfg.Clock)}, nil
}

// trusted is nil where the system's certificates are.
func trusted(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the certificates to trust: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the certificates to trust: %w", errors.Join(quarantine.ErrInvalid, fmt.Errorf("%s holds none", file)))
	}
	return c, nil
}

// Name is the configured name of the cloud.
func (a *API) Name() string { return a.cfg.Cloud }
