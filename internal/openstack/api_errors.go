package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/gophercloud/gophercloud/v2"

	"quarantine/internal/quarantine"
)

// maxMessage is how much of a service's own words an error repeats.
const maxMessage = 300

// failure turns an error of the client library into one of this package: a
// sentinel, and of the answer the status and the service's message, but not
// the library's own text, which has the whole body.
func (s *session) failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", quarantine.ErrUnavailable, context.Cause(ctx))
	}
	var again *gophercloud.ErrUnableToReauthenticate
	if errors.As(err, &again) {
		return fmt.Errorf("log in again: %w", s.failure(ctx, again.ErrReauth))
	}
	var answer gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &answer) {
		return fmt.Errorf("%w: %s", quarantine.ErrUnavailable, s.redact(err.Error()))
	}
	said := s.redact(faultMessage(answer.Body))
	if said != "" {
		said = ": " + said
	}
	return fmt.Errorf("%w: status %d%s%s", sentinel(answer.Actual), answer.Actual, said, hint(answer.Actual))
}

// sentinel tells what a status means.
func sentinel(status int) error {
	switch {
	case status == http.StatusNotFound:
		return quarantine.ErrNotFound
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return quarantine.ErrRefused
	case status == http.StatusConflict:
		return quarantine.ErrBusy
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout,
		status < 400: // a redirect, or something that is no OpenStack
		return quarantine.ErrUnavailable
	}
	return quarantine.ErrInvalid
}

// hint tells an operator what may be missing.
func hint(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return " (the credential is wrong or expired, or has no role in the project)"
	case http.StatusForbidden:
		return " (the credential needs the role admin, or the site's policy forbids it)"
	}
	return ""
}

// faultMessage is what a service says in an error's body: {"itemNotFound":
// {"message": …}}, {"error": {"message": …}}, or a page of HTML, which is left
// out.
func faultMessage(body []byte) string {
	var outer map[string]json.RawMessage
	if json.Unmarshal(body, &outer) != nil {
		return ""
	}
	said := ""
	for key, inner := range outer {
		var fault struct {
			Message text `json:"message"`
		}
		if key == "message" {
			inner = []byte(`{"message":` + string(inner) + `}`)
		}
		if json.Unmarshal(inner, &fault) == nil && fault.Message != "" {
			said = max(said, string(fault.Message))
		}
	}
	return said
}

// redact takes the session's secrets, and what cannot be printed, out of a
// foreign text, and shortens it. A service may repeat what it was sent.
func (s *session) redact(said string) string {
	for _, secret := range s.secrets() {
		if secret != "" {
			said = strings.ReplaceAll(said, secret, "…")
		}
	}
	said = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, said)
	if runes := []rune(said); len(runes) > maxMessage {
		said = string(runes[:maxMessage]) + "…"
	}
	return said
}

// secrets are what must not be in an error.
func (s *session) secrets() []string {
	secrets := []string{s.login.Password, s.login.ApplicationCredentialSecret, s.login.Passcode, s.login.TokenID}
	if s.provider != nil {
		secrets = append(secrets, s.provider.Token())
	}
	return secrets
}
