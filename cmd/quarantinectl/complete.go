package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/quarantine"
)

// completionWait is how long the shell may wait for ids from the daemon.
const completionWait = 2 * time.Second

var (
	sources  = []string{quarantine.CloudOpenStack, quarantine.CloudOpenNebula, quarantine.CloudGeneric}
	jobs     = []string{quarantine.JobCollect, quarantine.JobReconcile, quarantine.JobClouds, quarantine.JobGuard, quarantine.JobFlatten, quarantine.JobIsolate}
	sortKeys = []string{"deleted_at", "quarantined_at", "retain_until", "size_bytes", "original_name", "resource_name", "project", "user", "state"}
)

// complete lets the shell offer a flag's values.
func complete(cmd *cobra.Command, flag string, values ...string) {
	completeWith(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func completeWith(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	// It fails for a flag that the command does not have, which the test of
	// the completions would see.
	_ = cmd.RegisterFlagCompletionFunc(flag, f)
}

// completeStates offers states, several with commas between.
func completeStates(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	before := ""
	if i := strings.LastIndexByte(typed, ','); i >= 0 {
		before = typed[:i+1]
	}
	var out []string
	for _, s := range quarantine.States() {
		out = append(out, before+string(s))
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeDisk offers the ids of disks as a command's first argument, with
// what they were.
func (a *app) completeDisk(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return a.complete(cmd, typed, func(ctx context.Context, c *client.Client, offer func(word, what string)) error {
		found, err := c.DiskPage(ctx, client.Query{Desc: true}, client.MaxPage, 0)
		for _, d := range found.Disks {
			offer(d.ID, d.State+" "+either(d.ResourceName, d.OriginalName))
		}
		return err
	})
}

// complete offers the words that begin with what was typed. It is silent when
// the daemon does not answer.
func (a *app) complete(cmd *cobra.Command, typed string, ask func(ctx context.Context, c *client.Client, offer func(word, what string)) error) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionWait)
	defer cancel()
	c, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	var out []string
	err = ask(ctx, c, func(word, what string) {
		if strings.HasPrefix(word, typed) {
			out = append(out, cobra.CompletionWithDesc(word, printable(what)))
		}
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
