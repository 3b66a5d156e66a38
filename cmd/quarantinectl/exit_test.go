package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Every kind of error has its exit status, however it is wrapped, and what
// came over the wire has the same as what is made here.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"none":                        {nil, 0},
		"usage":                       {fmt.Errorf("%w: what", errUsage), 2},
		"usage with a cause":          {fmt.Errorf("%w: %w", errUsage, quarantine.ErrNotFound), 2},
		"failed with a cause":         {fmt.Errorf("%w: %w", errFailed, quarantine.ErrInvalid), 1},
		"a hint":                      {hint(fmt.Errorf("%w: what", errUsage), "do"), 2},
		"partial":                     {fmt.Errorf("%w: 1 of 2", errPartial), 5},
		"nothing":                     {errNothing, 5},
		"unreachable":                 {fmt.Errorf("x: %w", client.ErrUnreachable), 6},
		"unreachable and uncertain":   {errors.Join(client.ErrUncertain, client.ErrUnreachable), 6},
		"interrupted":                 {context.Canceled, 1},
		"interrupted and uncertain":   {errors.Join(client.ErrUncertain, context.Canceled), 1},
		"a file that is not there":    {os.ErrNotExist, 1},
		"an export cut short":         {wire.ErrCutShort, 1},
		"not found over the wire":     {wire.ProblemOf(quarantine.ErrNotFound), 3},
		"refused over the wire":       {wire.ProblemOf(quarantine.ErrRefused), 4},
		"invalid over the wire":       {wire.ProblemOf(quarantine.ErrInvalid), 2},
		"busy over the wire":          {wire.ProblemOf(quarantine.ErrBusy), 1},
		"a conflict over the wire":    {wire.ProblemOf(quarantine.ErrConflict), 1},
		"exists over the wire":        {wire.ProblemOf(quarantine.ErrExists), 1},
		"unavailable over the wire":   {wire.ProblemOf(quarantine.ErrUnavailable), 1},
		"internal over the wire":      {wire.ProblemOf(errors.New("disk full")), 1},
		"unauthorized over the wire":  {wire.NewProblem(http.StatusUnauthorized, wire.CodeUnauthorized, ""), 1},
		"forbidden over the wire":     {wire.NewProblem(http.StatusForbidden, wire.CodeForbidden, ""), 1},
		"refused and not found there": {wire.ProblemOf(errors.Join(quarantine.ErrNotFound, quarantine.ErrRefused)), 4},
	} {
		if got := exitStatus(c.err); got != c.want {
			t.Errorf("%s: exit status %d, want %d", name, got, c.want)
		}
	}
}

// Every command's help has an example and says its exit statuses, and every
// command takes -o.
func TestEveryCommandIsDocumented(t *testing.T) {
	t.Parallel()
	n := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			walk(c)
		}
		if cmd.HasSubCommands() || cmd.Name() == "help" {
			return
		}
		n++
		if !strings.Contains(cmd.Long, "EXIT STATUS\n  0  done\n  1  failed\n  2  usage") {
			t.Errorf("%s: the help has no exit statuses", cmd.CommandPath())
		}
		if !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: the help has no example of it: %q", cmd.CommandPath(), cmd.Example)
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help %q", cmd.CommandPath(), cmd.Short)
		}
		if cmd.InheritedFlags().Lookup("output") == nil {
			t.Errorf("%s does not take -o", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long) {
			if len(strings.TrimRight(line, "\n")) > 80 {
				t.Errorf("%s: a line of the help is wider than 80: %q", cmd.CommandPath(), line)
			}
		}
	}
	walk(newRoot(&app{}))
	if n < 20 {
		t.Errorf("only %d commands were found", n)
	}
}
