package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// hinted is an error with the command that a person may try next.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// hint puts a hint of its own beside an error.
func hint(err error, format string, args ...any) error {
	return &hinted{error: err, hint: fmt.Sprintf(format, args...)}
}

// tell writes the error and its hint, if there is one.
func (a *app) tell(err error) {
	if err == nil || errors.Is(err, errNothing) {
		return
	}
	a.say("error: %s", indent(a.message(err)))
	if h := a.hintOf(err); h != "" {
		a.say("hint: %s", h)
	}
}

// say writes a line to standard error. There is nowhere to tell that it failed.
func (a *app) say(format string, args ...any) { _, _ = fmt.Fprintf(a.stderr, format+"\n", args...) }

// message is the error's text without the words that only exitStatus needs.
func (a *app) message(err error) string {
	text := err.Error()
	for _, word := range []error{errUsage, errFailed, errPartial} {
		text = strings.TrimPrefix(text, word.Error()+": ")
	}
	return text
}

// indent puts the lines after the first below it, and makes them printable.
func indent(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = printable(strings.ReplaceAll(l, "\t", " "))
	}
	return strings.Join(lines, "\n  ")
}

// hintOf finds what a person can do about an error.
func (a *app) hintOf(err error) string {
	var own *hinted
	var problem *wire.Problem
	switch {
	case errors.As(err, &own):
		return own.hint
	case errors.Is(err, errUsage):
		return a.program + " --help"
	case errors.Is(err, errFailed), errors.Is(err, errPartial):
		return ""
	case errors.Is(err, client.ErrUncertain):
		return "look whether it was done: quarantinectl status, quarantinectl show ID"
	case untrusted(err):
		return "name the certificate authority with --ca-file"
	case errors.Is(err, client.ErrUnreachable):
		return "check --server (or QUARANTINE_SERVER), and on the daemon's host: systemctl status quarantined"
	case errors.As(err, &problem) && problem.Code == wire.CodeUnauthorized:
		return "name the file with your token: --token-file (or QUARANTINE_TOKEN_FILE)"
	case errors.As(err, &problem) && problem.Code == wire.CodeForbidden:
		return "it takes a token of a higher role: --token-file"
	case errors.Is(err, wire.ErrCutShort):
		return "the daemon's log has the reason; nothing was kept, export it again"
	case errors.Is(err, quarantine.ErrRefused):
		return "quarantinectl show ID tells its state and holds; quarantinectl release lifts a hold"
	case errors.Is(err, quarantine.ErrNotFound):
		return "quarantinectl list"
	case errors.Is(err, quarantine.ErrBusy), errors.Is(err, quarantine.ErrConflict):
		return "try again in a moment"
	case errors.Is(err, quarantine.ErrUnavailable):
		return "quarantinectl doctor"
	case errors.Is(err, quarantine.ErrExists) && strings.Contains(err.Error(), "request"):
		return "quarantinectl request list"
	case errors.Is(err, quarantine.ErrExists):
		return "choose another name"
	case errors.Is(err, os.ErrPermission):
		return "check the file's owner and mode"
	}
	return ""
}

// untrusted reports a server whose certificate is not known.
func untrusted(err error) bool {
	var authority x509.UnknownAuthorityError
	var verification *tls.CertificateVerificationError
	return errors.As(err, &authority) || errors.As(err, &verification)
}
