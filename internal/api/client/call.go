package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"

	"quarantine/internal/api/wire"
)

const (
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
	typeSteps   = "application/x-ndjson"
)

// maxProblem bounds what is read of an answer that says no.
const maxProblem = 1 << 20

// call is one request.
type call struct {
	method string
	path   string // below the server's URL, escaped
	query  url.Values
	body   any    // sent as JSON; nil: none
	raw    []byte // sent as it is, instead of body
	accept string // the media type of the answer; "" is JSON
	// changes: the daemon does something because of the call.
	changes bool
	// long: only the context ends it.
	long bool
}

// answer sends the call and decodes the JSON that comes back.
func answer[T any](ctx context.Context, c *Client, k call) (T, error) {
	var out T
	err := c.do(ctx, k, &out)
	return out, err
}

// do is answer for a type that the caller knows.
func (c *Client) do(ctx context.Context, k call, out any) error {
	bounded := ctx
	if !k.long {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeoutCause(ctx, c.answer, fmt.Errorf("no answer within %s", c.answer))
		defer cancel()
	}
	return c.open(bounded, k, func(body io.Reader) error {
		if err := json.NewDecoder(body).Decode(out); err != nil {
			return c.noAnswer(bounded, k, true, fmt.Errorf("read the answer: %w", err))
		}
		return nil
	})
}

// open sends the call and gives the body of a good answer to read.
func (c *Client) open(ctx context.Context, k call, read func(body io.Reader) error) (err error) {
	var sent atomic.Bool
	req, err := c.request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}), k)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the method and URL are told once, by noAnswer
		}
		return c.noAnswer(ctx, k, sent.Load(), err)
	}
	defer func() {
		if closeErr := resp.Body.Close(); closeErr != nil && err == nil {
			err = c.noAnswer(ctx, k, true, fmt.Errorf("end the answer: %w", closeErr))
		}
	}()
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode/100 == 2 && media == req.Header.Get("Accept") {
		return read(resp.Body)
	}
	if resp.StatusCode >= 400 && media == typeProblem {
		return c.problem(ctx, k, resp)
	}
	return c.noAnswer(ctx, k, true, fmt.Errorf("what answers there is not quarantined: %s, %s", resp.Status, described(media)))
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	target := c.base + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	body := k.raw
	if k.body != nil {
		var err error
		if body, err = json.Marshal(k.body); err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", typeJSON)
	}
	req.Header.Set("Accept", typeJSON)
	if k.accept != "" {
		req.Header.Set("Accept", k.accept)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// problem reads an answer that says no.
func (c *Client) problem(ctx context.Context, k call, resp *http.Response) error {
	p := &wire.Problem{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(p); err != nil {
		return c.noAnswer(ctx, k, true, fmt.Errorf("read the answer: %w", err))
	}
	p.Status = resp.StatusCode
	if p.Code == "" {
		p.Code = codeOf(resp.StatusCode)
	}
	return p
}

// codeOf is the code of a problem that names none: one that was made before
// the daemon's own handlers saw the request.
func codeOf(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return wire.CodeUnauthorized
	case http.StatusForbidden:
		return wire.CodeForbidden
	case http.StatusNotFound:
		return wire.CodeNotFound
	case http.StatusRequestEntityTooLarge:
		return wire.CodeTooLarge
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return wire.CodeInvalid
	case http.StatusServiceUnavailable:
		return wire.CodeUnavailable
	}
	return wire.CodeInternal
}

// noAnswer explains an answer that did not come.
func (c *Client) noAnswer(ctx context.Context, k call, sent bool, err error) error {
	uncertain := ""
	if sent && k.changes {
		uncertain = "; " + ErrUncertain.Error()
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return &lostAnswer{text: "stopped before the answer" + uncertain, causes: []error{context.Canceled}, uncertain: uncertain != ""}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return &lostAnswer{
		text:      fmt.Sprintf("%s at %s: %v%s", ErrUnreachable, c.base, err, uncertain),
		causes:    []error{ErrUnreachable, err},
		uncertain: uncertain != "",
	}
}

// lostAnswer is the error of noAnswer: its causes, without saying each twice.
type lostAnswer struct {
	text      string
	causes    []error
	uncertain bool
}

func (e *lostAnswer) Error() string { return e.text }

func (e *lostAnswer) Unwrap() []error {
	if e.uncertain {
		return append([]error{ErrUncertain}, e.causes...)
	}
	return e.causes
}

func described(media string) string {
	if media == "" {
		return "without a media type"
	}
	return media
}
