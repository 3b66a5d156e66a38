package openstack

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// maxAnswer bounds an answer. A page of servers is the longest: Nova sends the
// user data of each, up to 64 KiB.
const maxAnswer = 64 << 20

// maxRetryPause bounds the pause before a request is sent again.
const maxRetryPause = 30 * time.Second

// clients are two ways to send requests over the same connections: upload has
// no time limit of its own.
type clients struct{ request, upload http.Client }

func newClients(timeout time.Duration, trust *tls.Config) clients {
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		DialContext:     (&net.Dialer{Timeout: min(timeout, 10*time.Second), KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig: trust, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second, ExpectContinueTimeout: time.Second,
	}
	bounded := boundedTransport{transport, maxAnswer}
	return clients{
		// A redirect would take the token to wherever it points.
		request: http.Client{Transport: bounded, Timeout: timeout, CheckRedirect: noRedirect},
		upload:  http.Client{Transport: bounded, CheckRedirect: noRedirect},
	}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

var errTooLong = errors.New("the answer is too long")

// boundedTransport ends answers that are longer than max with errTooLong.
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
	resp.Body = &boundedBody{resp.Body, b.max}
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w (more than %d bytes)", errTooLong, int64(maxAnswer))
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// retry is asked by the client library what to do after a failed request: nil
// sends it again.
func (a *API) retry(ctx context.Context, method, _ string, _ *gophercloud.RequestOpts, err error, failed uint) error {
	if int64(failed) > int64(a.cfg.Retries) || !mayRepeat(method, err) {
		return err
	}
	pause := a.cfg.RetryPause << (failed - 1)
	if said := retryAfter(err); said > 0 {
		pause = said
	} else {
		pause = jitter(pause)
	}
	if !sleep(ctx, min(pause, maxRetryPause)) {
		return err
	}
	return nil
}

// mayRepeat reports whether a request may be sent again: if it did not reach a
// service that worked on it, or, where it only reads, if the answer was lost.
// One that was not answered in time is not sent again: the service is
// overloaded already.
func mayRepeat(method string, err error) bool {
	var answer gophercloud.ErrUnexpectedResponseCode
	reads := method == http.MethodGet || method == http.MethodHead
	switch {
	case errors.As(err, &answer):
		switch answer.Actual {
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
			return true
		case http.StatusBadGateway, http.StatusGatewayTimeout:
			return reads
		}
		return false
	case errors.Is(err, syscall.ECONNREFUSED):
		return true
	}
	return reads && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET))
}

// retryAfter is what the answer says in seconds; a date is not read.
func retryAfter(err error) time.Duration {
	var answer gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &answer) {
		return 0
	}
	seconds, err := strconv.Atoi(answer.ResponseHeader.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
