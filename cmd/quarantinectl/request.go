package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func requestCommand(a *app) *cobra.Command {
	return group(a, "request", "Approve what takes two people, and look at what waits",
		`Approve what takes two people, and look at what waits. Requests are made with
quarantinectl purge, quarantinectl shorten and quarantinectl policy apply.`,
		requestListCommand(a), requestShowCommand(a), requestApproveCommand(a), requestDenyCommand(a), requestWithdrawCommand(a))
}

func requestListCommand(a *app) *cobra.Command {
	var states []string
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the requests that wait, the newest first",
		Long:    "List the requests that wait for an approval or for their act, the newest first.\n" + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: "  quarantinectl request list\n  quarantinectl request list --state done,denied",
		Args:    cobra.NoArgs,
		Aliases: []string{"ls"},
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			var wanted []quarantine.RequestState
			for _, s := range states {
				if !slices.Contains(quarantine.RequestStates(), quarantine.RequestState(s)) {
					return fmt.Errorf("%w: --state %q is none of %v", errUsage, s, quarantine.RequestStates())
				}
				wanted = append(wanted, quarantine.RequestState(s))
			}
			if limit < 1 || limit > client.MaxPage {
				return fmt.Errorf("%w: --limit is from 1 to %d", errUsage, client.MaxPage)
			}
			found, err := c.Requests(ctx, wanted, limit)
			if err != nil {
				return err
			}
			return a.print(found, func(p *page) {
				if len(found) == 0 {
					p.line("no request")
					return
				}
				requestTable(p, found)
			})
		}),
	}
	cmd.Flags().StringSliceVar(&states, "state", nil, "`states`, with commas between, instead of open,approved")
	cmd.Flags().IntVar(&limit, "limit", 100, "`number` of requests, at most 1000")
	var all []string
	for _, s := range quarantine.RequestStates() {
		all = append(all, string(s))
	}
	complete(cmd, "state", all...)
	return cmd
}

func requestShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "show REQUEST",
		Short:             "Show one request",
		Long:              "Show one request.\n" + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example:           "  quarantinectl request show 9c0ffee0c0ffee09",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeRequest,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			r, err := c.Request(ctx, args[0])
			if err != nil {
				return err
			}
			return a.print(r, func(p *page) { showRequest(p, r) })
		}),
	}
}

func requestApproveCommand(a *app) *cobra.Command {
	return a.decision("approve", "Approve another person's request, and have it done",
		`Approve another person's request, and have it done. It takes an admin's token,
asks first, and is refused (4) for your own request, for one that is not open
any more, and where its disk was held or extended since it was made. Of a policy
that is applied, such disks are left out.`,
		"Approve it?", func(ctx context.Context, c *client.Client, id string, r wire.ReasonRequest) (quarantine.Request, error) {
			return c.Approve(ctx, id, r)
		})
}

func requestDenyCommand(a *app) *cobra.Command {
	return a.decision("deny", "End a request with a no", `End a request with a no. It takes an admin's token.`,
		"", func(ctx context.Context, c *client.Client, id string, r wire.ReasonRequest) (quarantine.Request, error) {
			return c.Deny(ctx, id, r)
		})
}

func requestWithdrawCommand(a *app) *cobra.Command {
	return a.decision("withdraw", "End a request of your own", `End a request of your own.`,
		"", func(ctx context.Context, c *client.Client, id string, r wire.ReasonRequest) (quarantine.Request, error) {
			return c.Withdraw(ctx, id, r)
		})
}

// decision is a command that decides about a request. One with a question shows
// the request and asks.
func (a *app) decision(verb, short, long, question string, do func(context.Context, *client.Client, string, wire.ReasonRequest) (quarantine.Request, error)) *cobra.Command {
	var r wire.ReasonRequest
	yes := question == ""
	cmd := &cobra.Command{
		Use:               verb + " REQUEST --reason TEXT",
		Short:             short,
		Long:              long + "\n" + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example:           "  quarantinectl request " + verb + ` 9c0ffee0c0ffee09 --reason "as agreed"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeRequest,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			if !yes {
				q, err := c.Request(ctx, args[0])
				if err != nil {
					return err
				}
				if a.screen.stdin {
					p := &page{width: a.screen.width}
					showRequest(p, q)
					if err := write(a.stderr, p.Bytes()); err != nil {
						return err
					}
				}
				if err := a.confirm(yes, question); err != nil {
					return err
				}
			}
			q, err := do(ctx, c, args[0], r)
			if err != nil {
				return err
			}
			return a.asked(q)
		}),
	}
	reasonFlag(cmd, &r.Reason)
	if question != "" {
		yesFlag(cmd, &yes)
	}
	return cmd
}

// asked prints what a request has come to, and who goes on.
func (a *app) asked(r quarantine.Request) error {
	word := "is " + string(r.State)
	switch {
	case r.State == quarantine.RequestOpen:
		word = "waits for another person until " + exact(r.ExpiresAt)
	case r.State == quarantine.RequestApproved && r.Outcome == "":
		word = "is approved, and goes on by itself"
	case r.State == quarantine.RequestDone && r.Kind == quarantine.RequestPurgeEarly:
		word = "is done; the space is freed by the collector when the grace period is over"
	case r.State == quarantine.RequestDone && r.Detail["until"] != "":
		word = "is done; kept until " + r.Detail["until"]
	}
	err := a.print(r, func(p *page) { p.line("request %s: %s of %s %s", r.ID, r.Kind, r.Subject, word) })
	if err == nil && r.State == quarantine.RequestOpen {
		a.say("hint: an admin other than you: quarantinectl request approve %s --reason TEXT", printable(r.ID))
	}
	return err
}

func requestTable(p *page, requests []quarantine.Request) {
	var rows [][]string
	for _, r := range requests {
		rows = append(rows, []string{r.ID, r.Kind, r.Subject, string(r.State), r.RequestedBy, moment(r.ExpiresAt), r.Reason})
	}
	p.grid([]column{{title: "REQUEST"}, {title: "KIND"}, {title: "OF", fit: cut}, {title: "STATE"}, {title: "BY", fit: cut},
		{title: "EXPIRES (UTC)", extra: true}, {title: "REASON", fit: cut, extra: true}}, rows)
}

func showRequest(p *page, r quarantine.Request) {
	p.line("request %s: %s of %s, %s", r.ID, r.Kind, r.Subject, r.State)
	p.field("asked", r.RequestedBy+" at "+exact(r.RequestedAt))
	p.field("because", r.Reason)
	if until := r.Detail["until"]; until != "" {
		p.field("new date", until)
	}
	if kept := r.Detail["kept_until"]; kept != "" {
		p.field("kept until", kept)
	}
	if n := r.Detail["disks"]; n != "" {
		bytes, _ := strconv.ParseInt(r.Detail["bytes"], 10, 64) // 0: not known
		p.field("shortens", n+" disks, "+size(bytes))
	}
	p.field("expires", exact(r.ExpiresAt))
	if r.DecidedBy != "" {
		p.field("decided", r.DecidedBy+" at "+exact(r.DecidedAt)+": "+r.DecisionReason)
	}
	if r.Outcome != "" {
		p.field("outcome", r.Outcome)
	}
}

// completeRequest offers the ids of the requests that wait.
func (a *app) completeRequest(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.complete(cmd, typed, func(ctx context.Context, c *client.Client, offer func(word, what string)) error {
		found, err := c.Requests(ctx, nil, 0)
		for _, r := range found {
			offer(r.ID, r.Kind+" of "+r.Subject+", by "+r.RequestedBy)
		}
		return err
	})
}
