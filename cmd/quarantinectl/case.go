package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func caseCommand(a *app) *cobra.Command {
	return group(a, "case", "Open, show, edit and close the cases that holds are for",
		`Open, show, edit and close the cases that holds are for. A hold for a case that
nobody has opened opens it.`,
		caseOpenCommand(a), caseListCommand(a), caseShowCommand(a), caseEditCommand(a), caseCloseCommand(a))
}

// caseFlags are those of case open and case edit.
type caseFlags struct {
	title, deadline string
	people          []string
}

func (f *caseFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.title, "title", "", "what it is about: a `text`")
	cmd.Flags().StringSliceVar(&f.people, "people", nil, "`names` of whom to ask, with commas between")
	cmd.Flags().StringVar(&f.deadline, "deadline", "", "`date` to look whether it is still needed")
}

// request is the case with what the flags that were given say.
func (f *caseFlags) request(cmd *cobra.Command, r wire.CaseRequest) (wire.CaseRequest, error) {
	if cmd.Flags().Changed("title") {
		r.Title = f.title
	}
	if cmd.Flags().Changed("people") {
		r.People = f.people
	}
	if f.deadline != "" {
		var err error
		if r.Deadline, err = parseTime(f.deadline); err != nil {
			return r, err
		}
	}
	return r, nil
}

func caseOpenCommand(a *app) *cobra.Command {
	var f caseFlags
	cmd := &cobra.Command{
		Use:     "open CASE --title TEXT",
		Short:   "Open a case",
		Long:    "Open a case. Its deadline releases nothing: the doctor warns when it has passed.\n" + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: `  quarantinectl case open CERT-17 --title "stolen keys" --people ann,bob --deadline 2027-03-01`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		r, err := f.request(cmd, wire.CaseRequest{})
		if err != nil {
			return err
		}
		x, err := c.OpenCase(ctx, wire.OpenCaseRequest{ID: args[0], Title: r.Title, People: r.People, Deadline: r.Deadline})
		if err != nil {
			return err
		}
		return a.print(x, func(p *page) { p.line("case %s is open", x.ID) })
	})
	f.add(cmd)
	required(cmd, "title")
	return cmd
}

func caseEditCommand(a *app) *cobra.Command {
	var f caseFlags
	cmd := &cobra.Command{
		Use:               "edit CASE [--title TEXT] [--people NAMES] [--deadline DATE]",
		Short:             "Change a case's title, people or deadline",
		Long:              "Change a case's title, people or deadline; what is not named stays.\n" + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example:           "  quarantinectl case edit CERT-17 --deadline 2027-06-01",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeCase,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		was, err := c.Case(ctx, args[0])
		if err != nil {
			return err
		}
		r, err := f.request(cmd, wire.CaseRequest{Title: was.Title, People: was.People, Deadline: was.Deadline})
		if err != nil {
			return err
		}
		x, err := c.EditCase(ctx, args[0], r)
		if err != nil {
			return err
		}
		return a.print(x, func(p *page) { p.line("case %s: %s", x.ID, x.Title) })
	})
	f.add(cmd)
	cmd.MarkFlagsOneRequired("title", "people", "deadline")
	return cmd
}

func caseListCommand(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the open cases",
		Long:    "List the open cases, the oldest first.\n" + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: "  quarantinectl case list --all",
		Args:    cobra.NoArgs,
		Aliases: []string{"ls"},
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			found, err := c.Cases(ctx)
			if err != nil {
				return err
			}
			if !all {
				found = slices.DeleteFunc(found, func(x quarantine.Case) bool { return !x.Open() })
			}
			return a.print(found, func(p *page) { caseTable(p, found) })
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "closed ones too")
	return cmd
}

func caseTable(p *page, cases []quarantine.Case) {
	if len(cases) == 0 {
		p.line("no case")
		return
	}
	var rows [][]string
	for _, c := range cases {
		state := "open"
		if !c.Open() {
			state = "closed"
		}
		rows = append(rows, []string{c.ID, state, day(c.Deadline), c.OpenedBy, either(strings.Join(c.People, " ")), c.Title})
	}
	p.grid([]column{{title: "CASE", fit: cut}, {title: "STATE"}, {title: "DEADLINE"}, {title: "OPENED BY", fit: cut},
		{title: "PEOPLE", fit: cut, extra: true}, {title: "TITLE", fit: cut, extra: true}}, rows)
}

func caseShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show CASE",
		Short: "Show a case, and how much it holds",
		Long: `Show a case, and how much it holds. quarantinectl list --case CASE lists the
disks.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example:           "  quarantinectl case show CERT-17",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeCase,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			x, err := c.Case(ctx, args[0])
			if err != nil {
				return err
			}
			return a.print(x, func(p *page) { showCase(p, x) })
		}),
	}
}

func showCase(p *page, x quarantine.CaseView) {
	p.line("case %s: %s", x.ID, x.Title)
	p.field("opened", x.OpenedBy+" at "+exact(x.OpenedAt))
	p.field("people", either(strings.Join(x.People, ", ")))
	deadline := exact(x.Deadline)
	if x.Overdue {
		deadline += ", which has PASSED"
	}
	p.field("deadline", deadline)
	if !x.Open() {
		p.field("closed", x.ClosedBy+" at "+exact(x.ClosedAt)+": "+x.CloseReason)
	}
	p.field("holds", fmt.Sprintf("%d disks", x.Disks))
	if len(x.Standing) > 0 {
		p.line("")
		standingTable(p, x.Standing)
	}
}

func caseCloseCommand(a *app) *cobra.Command {
	var r wire.CloseCaseRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "close CASE --reason TEXT [--release]",
		Short: "Close a case, and with --release lift all its holds",
		Long: `Close a case. It takes an admin's token. While the case holds disks, or has
standing holds, it is refused (4), unless --release lifts them all; that asks
first, and what could not be lifted leaves the case open.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example:           `  quarantinectl case close CERT-17 --release --reason "the court has decided"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeCase,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			if r.Release && !yes {
				x, err := c.Case(ctx, args[0])
				if err != nil {
					return err
				}
				if err := a.confirm(yes, fmt.Sprintf("Lift its holds on %d disks, and %d standing holds?", x.Disks, len(x.Standing))); err != nil {
					return err
				}
			}
			x, err := c.CloseCase(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.print(x, func(p *page) { p.line("case %s is closed", x.ID) })
		}),
	}
	reasonFlag(cmd, &r.Reason)
	cmd.Flags().BoolVar(&r.Release, "release", false, "lift all its holds")
	yesFlag(cmd, &yes)
	return cmd
}

// completeCase offers the open cases.
func (a *app) completeCase(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.complete(cmd, typed, func(ctx context.Context, c *client.Client, offer func(word, what string)) error {
		found, err := c.Cases(ctx)
		for _, x := range found {
			if x.Open() {
				offer(x.ID, x.Title)
			}
		}
		return err
	})
}
