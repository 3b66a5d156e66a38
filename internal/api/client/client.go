package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// The timeouts of a Config that names none.
const (
	defaultDialTimeout   = 10 * time.Second
	defaultAnswerTimeout = 30 * time.Second
)

// Config says where the daemon is and who asks.
type Config struct {
	// Server is the daemon's URL: http://127.0.0.1:8840, or https://…, with
	// the path that a proxy puts before the API's if there is one.
	Server string
	// Token is the bearer token; empty for the requests that need none.
	Token string
	// CAFile is a PEM file with the authorities to trust instead of the
	// system's; empty: the system's.
	CAFile string
	// DialTimeout bounds the connection (zero: 10 s). AnswerTimeout bounds
	// looks and short acts from the first byte to the last (zero: 30 s);
	// restores, exports, jobs and checks end with their context alone.
	DialTimeout, AnswerTimeout time.Duration
}

// Client speaks to one daemon. It may be used by several goroutines.
type Client struct {
	base   string // without a slash at the end
	token  string
	answer time.Duration
	http   *http.Client
}

// New makes a client. It does not connect. The error wraps
// quarantine.ErrInvalid if the configuration is wrong.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.Server)
	switch {
	case err != nil:
		// The error has the URL in it, perhaps with a password.
		return nil, fmt.Errorf("the server's URL is %w: write it as http://127.0.0.1:8840", quarantine.ErrInvalid)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("the server's URL %q is %w: write it as http://127.0.0.1:8840", u.Redacted(), quarantine.ErrInvalid)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("the server's URL %q is %w: it takes a host and a path only", u.Redacted(), quarantine.ErrInvalid)
	case strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, fmt.Errorf("the token is %w: it has a space, a line break or a strange letter in it", quarantine.ErrInvalid)
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = defaultDialTimeout
	}
	if c.AnswerTimeout == 0 {
		c.AnswerTimeout = defaultAnswerTimeout
	}
	roots, err := authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: c.DialTimeout}).DialContext,
		TLSHandshakeTimeout: c.DialTimeout,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		// An export is what it is: bytes of a disk.
		DisableCompression: true,
	}
	return &Client{
		base: strings.TrimRight(c.Server, "/"), token: c.Token, answer: c.AnswerTimeout,
		http: &http.Client{
			Transport: transport,
			// The token goes to the configured server and nowhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close ends the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the authorities to trust: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read the authorities to trust: %s is %w: it has no certificate", path, quarantine.ErrInvalid)
	}
	return pool, nil
}

// ErrUnreachable: the daemon could not be reached, did not answer in time, or
// what answered is not the daemon. Nothing may be concluded from it.
var ErrUnreachable = errors.New("cannot reach the daemon")

// ErrUncertain stands beside ErrUnreachable or the context's error when a
// request to change something was sent and its answer was lost.
var ErrUncertain = errors.New("it may have been done all the same")
