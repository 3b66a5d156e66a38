package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/quarantine"
)

const defaultServer = "http://127.0.0.1:8840"

// app is one call of the program: its streams and its global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	clock          quarantine.Clock
	screen         screen

	server, tokenFile, caFile, output string
	timeout                           time.Duration
	// started: the command line was understood and a command began. What goes
	// wrong before is a mistake in the usage.
	started bool
	// program is the called command, for the hint about its help.
	program string
}

// main runs the command line and returns the exit status.
func (a *app) main(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	called, err := root.ExecuteContextC(ctx)
	a.program = called.CommandPath()
	if err != nil && !a.started {
		err = fmt.Errorf("%w: %w", errUsage, err)
	}
	a.tell(err)
	return exitStatus(err)
}

// does makes a command's RunE of what it does.
func (a *app) does(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		switch a.output {
		case outputTable, outputJSON, outputYAML:
		default:
			return fmt.Errorf("-o %q is not table, json or yaml", a.output)
		}
		if a.timeout < 0 {
			return fmt.Errorf("--timeout %s is negative", a.timeout)
		}
		a.started = true
		return f(cmd.Context(), args)
	}
}

// client makes the client that the global flags and the environment ask for.
func (a *app) client() (*client.Client, error) {
	token, err := a.token()
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.Config{
		Server: a.firstOf(a.server, "QUARANTINE_SERVER", defaultServer), Token: token,
		CAFile: a.caFile, AnswerTimeout: a.timeout,
	})
	if errors.Is(err, quarantine.ErrInvalid) {
		err = fmt.Errorf("%w: %w", errUsage, err)
	}
	return c, err
}

func (a *app) token() (string, error) {
	path := a.firstOf(a.tokenFile, "QUARANTINE_TOKEN_FILE", "")
	if path == "" {
		return a.env("QUARANTINE_TOKEN"), nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// firstOf is the flag, else the environment's variable, else the default.
func (a *app) firstOf(flag, variable, otherwise string) string {
	if flag != "" {
		return flag
	}
	if v := a.env(variable); v != "" {
		return v
	}
	return otherwise
}

// withClient makes a command's RunE of what it asks the daemon.
func (a *app) withClient(f func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return a.does(func(ctx context.Context, args []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		defer c.Close()
		return f(ctx, c, args)
	})
}
