package main

import (
	"errors"
	"fmt"
	"strings"

	"quarantine/internal/api/client"
	"quarantine/internal/quarantine"
)

// The exit statuses. They are a contract with scripts.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitPartial     = 5
	exitUnreachable = 6
)

// What a command found out by itself.
var (
	// errUsage: the command line is wrong; nothing was asked of the daemon.
	errUsage = errors.New("usage")
	// errFailed: the command's answer is no: a policy has mistakes, the doctor
	// found a fault, a job stopped, a person did not confirm.
	errFailed = errors.New("failed")
	// errPartial: some acts failed, others did not.
	errPartial = errors.New("partly done")
	// errNothing: there was nothing to do. It is not told as an error.
	errNothing = errors.New("nothing to do")
)

// exitStatus is the only place that translates an error.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errFailed):
		return exitFailed
	case errors.Is(err, errPartial), errors.Is(err, errNothing):
		return exitPartial
	case errors.Is(err, client.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, quarantine.ErrRefused):
		return exitRefused
	case errors.Is(err, quarantine.ErrInvalid):
		return exitUsage
	case errors.Is(err, quarantine.ErrNotFound):
		return exitNotFound
	}
	return exitFailed
}

var exitMeanings = map[int]string{
	exitDone:        "done",
	exitFailed:      "failed",
	exitUsage:       "usage: the command line, or a value in it, is wrong",
	exitNotFound:    "not found",
	exitRefused:     "refused by policy or a hold",
	exitPartial:     "nothing to do, or some of it failed",
	exitUnreachable: "cannot reach the daemon",
}

// exitHelp is the section of a command's help about its exit statuses.
func exitHelp(statuses ...int) string {
	var b strings.Builder
	b.WriteString("\nEXIT STATUS\n")
	for _, s := range statuses {
		fmt.Fprintf(&b, "  %d  %s\n", s, exitMeanings[s])
	}
	return strings.TrimSuffix(b.String(), "\n")
}
