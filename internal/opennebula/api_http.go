package opennebula

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
	"unicode/utf8"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
)

// newClient makes an HTTP client that keeps its connections, gives up after the
// timeout, and ends answers that are longer than max bytes.
func newClient(timeout time.Duration, maxAnswer int64, trust *tls.Config) *http.Client {
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		DialContext:     (&net.Dialer{Timeout: min(timeout, 10*time.Second), KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig: trust, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second,
	}
	return &http.Client{
		Transport: boundedTransport{transport, maxAnswer}, Timeout: timeout,
		// A redirect would take the session to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var errTooLong = errors.New("the answer is too long")

// boundedTransport ends answers that are longer than max with errTooLong, and
// makes an error of one that is no success: the client library would leave such
// a body open. It takes out what XML does not allow, so that one control
// character in what a tenant wrote does not cost a whole listing.
type boundedTransport struct {
	next http.RoundTripper
	max  int64
}

// RoundTrip implements http.RoundTripper.
func (b boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		resp.Body.Close() // it is not read: the front-end's answers are all 200
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	bounded := &boundedBody{resp.Body, b.max}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{transform.NewReader(bounded, runes.Map(allowed)), bounded}
	return resp, nil
}

// allowed is the rune, or "?" for one that may not be in XML, and for what is no
// UTF-8.
func allowed(r rune) rune {
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF || r == utf8.RuneError {
		return '?'
	}
	return r
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}
