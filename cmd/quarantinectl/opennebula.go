package main

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	frontend "quarantine/integration/opennebula"
	"quarantine/internal/opennebula"
)

func opennebulaCommand(a *app) *cobra.Command {
	return group(a, "opennebula", "What an OpenNebula front-end needs", `Install what an OpenNebula front-end needs: hooks that tell of deletions, and the
wrapper of the ceph drivers, which asks before a disk is removed. These commands
work on the front-end itself, as root; they do not ask the daemon.`,
		installHooksCommand(a), removeHooksCommand(a), installDriverCommand(a), removeDriverCommand(a))
}

// frontendFlags are the flags of the commands that work on a front-end.
type frontendFlags struct {
	endpoint, auth, root string
	dry, yes             bool
}

func (f *frontendFlags) add(cmd *cobra.Command, api bool) {
	if api {
		cmd.Flags().StringVar(&f.endpoint, "endpoint", "", "oned's XML-RPC `URL` (ONE_XMLRPC; http://localhost:2633/RPC2)")
		cmd.Flags().StringVar(&f.auth, "auth-file", "", "the `file` with oneadmin's user:password (ONE_AUTH; ~/.one/one_auth)")
	}
	cmd.Flags().StringVar(&f.root, "root", "", "the `directory` that the front-end's files are below; default /")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "tell what would be done, and do nothing")
}

func (f *frontendFlags) installer() *frontend.Installer {
	return &frontend.Installer{Root: f.root, Dry: f.dry}
}

// hooks makes the installer of hooks.
func (f *frontendFlags) hooks(a *app) (*opennebula.HookInstaller, error) {
	auth := f.auth
	if auth == "" && a.env("ONE_AUTH") == "" {
		// root installs, and the session is oneadmin's.
		if _, err := os.Stat(oneadminAuth); err == nil {
			auth = oneadminAuth
		}
	}
	api, err := opennebula.NewAPI(opennebula.APIConfig{Cloud: "this front-end", Endpoint: f.endpoint, AuthFile: auth, Timeout: a.timeout, Clock: a.clock})
	if err != nil {
		return nil, err
	}
	return opennebula.NewHookInstaller(api), nil
}

const oneadminAuth = "/var/lib/one/.one/one_auth"

// installed is the answer of all of these commands.
type installed struct {
	DryRun bool                    `json:"dry_run"`
	Files  []frontend.Change       `json:"files"`
	Hooks  []opennebula.HookChange `json:"hooks"`
	Next   []string                `json:"next,omitempty"` // what is left to a person
}

// show prints what was done; also what was done before an error.
func (a *app) show(in installed, err error) error {
	if in.Files == nil {
		in.Files = []frontend.Change{}
	}
	if in.Hooks == nil {
		in.Hooks = []opennebula.HookChange{}
	}
	perr := a.print(in, func(p *page) {
		var rows [][]string
		for _, c := range in.Files {
			rows = append(rows, []string{c.Act, c.Path, c.Reason})
		}
		for _, c := range in.Hooks {
			rows = append(rows, []string{c.What, "hook " + c.Name, strings.Join(c.Differs, ", ")})
		}
		if len(rows) == 0 {
			p.line("all is as it should be")
		} else {
			p.grid([]column{{title: "ACT"}, {title: "WHAT", fit: wrap}, {title: "WHY", fit: wrap}}, rows)
		}
		for _, n := range in.Next {
			p.line("next: %s", n)
		}
	})
	if err != nil {
		return hint(err, "it can be run again: what is done is left alone")
	}
	return perr
}

func installHooksCommand(a *app) *cobra.Command {
	var f frontendFlags
	cmd := &cobra.Command{
		Use:   "install-hooks",
		Short: "Install the hooks, or bring them up to date",
		Long: `Install the hook's script and the units that send what waits in its spool, and
make the hooks in OpenNebula. It can be run again at any time: what is as it
should be is left alone, and so are hooks of other names. A configuration that
is there is never changed.
` + exitHelp(exitDone, exitFailed, exitUsage),
		Example: "  quarantinectl opennebula install-hooks --dry-run",
		Args:    cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			hooks, err := f.hooks(a)
			if err != nil {
				return err
			}
			in := installed{DryRun: f.dry}
			if in.Files, err = f.installer().Hooks(); err != nil {
				return a.show(in, err)
			}
			in.Hooks, err = hooks.Install(ctx, hookTemplates(), f.dry)
			in.Next = []string{
				"look at " + frontend.ConfPath + ", and put a token of the role hook into " + frontend.TokenPath + " (readable by oneadmin alone)",
				"systemctl enable --now quarantine-drain.timer",
				"quarantinectl doctor",
			}
			return a.show(in, err)
		}),
	}
	f.add(cmd, true)
	return cmd
}

// hookTemplates are the hooks that the front-end is to have.
func hookTemplates() []opennebula.HookTemplate {
	var out []opennebula.HookTemplate
	for _, h := range frontend.Hooks() {
		out = append(out, opennebula.HookTemplate{Name: h.Name, XML: frontend.Template(h, frontend.HookPath)})
	}
	return out
}

func removeHooksCommand(a *app) *cobra.Command {
	var f frontendFlags
	cmd := &cobra.Command{
		Use:   "remove-hooks",
		Short: "Take the hooks away",
		Long: `Delete the hooks in OpenNebula, and the script and the units. The configuration
and the spool stay. It asks first: from then on the daemon hears of deletions
from the API, the event bus and the drivers only.
` + exitHelp(exitDone, exitFailed, exitUsage),
		Example: "  quarantinectl opennebula remove-hooks --dry-run",
		Args:    cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			hooks, err := f.hooks(a)
			if err != nil {
				return err
			}
			if err := a.confirm(f.yes || f.dry, "Delete the hooks of quarantine on this front-end?"); err != nil {
				return err
			}
			in := installed{DryRun: f.dry}
			var names []string
			for _, h := range frontend.Hooks() {
				names = append(names, h.Name)
			}
			if in.Hooks, err = hooks.Uninstall(ctx, names, f.dry); err == nil {
				in.Files, err = f.installer().RemoveHooks()
			}
			return a.show(in, err)
		}),
	}
	f.add(cmd, true)
	yesFlag(cmd, &f.yes)
	return cmd
}

func installDriverCommand(a *app) *cobra.Command {
	var f frontendFlags
	cmd := &cobra.Command{
		Use:   "install-driver",
		Short: "Put the wrapper before the ceph drivers' delete and rm",
		Long: `Put the wrapper before tm/ceph/delete and datastore/ceph/rm: OpenNebula then
asks the daemon before it removes a disk, and waits. The originals stay beside
it, as delete.distrib and rm.distrib; where dpkg has installed them they are
diverted, so that an upgrade brings the new original to that name. With another
package manager run this again after each upgrade: it can be run at any time,
and at no moment is there no script. It asks first.
` + exitHelp(exitDone, exitFailed, exitUsage),
		Example: "  quarantinectl opennebula install-driver --dry-run",
		Args:    cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			if err := a.confirm(f.yes || f.dry, "Have OpenNebula ask the daemon before it removes disks?"); err != nil {
				return err
			}
			in := installed{DryRun: f.dry, Next: []string{
				"look at MODE in " + frontend.ConfPath + ": fail-open removes as before while the daemon is away, fail-closed refuses",
				"onehost sync --force is not needed: the scripts run on the front-end",
			}}
			var err error
			in.Files, err = f.installer().Driver(ctx)
			return a.show(in, err)
		}),
	}
	f.add(cmd, false)
	yesFlag(cmd, &f.yes)
	return cmd
}

func removeDriverCommand(a *app) *cobra.Command {
	var f frontendFlags
	cmd := &cobra.Command{
		Use:   "remove-driver",
		Short: "Put the original delete and rm of the ceph drivers back",
		Long: `Put the original scripts back. It asks first: on a pool without the guard disks
are then lost if the race is.
` + exitHelp(exitDone, exitFailed, exitUsage),
		Example: "  quarantinectl opennebula remove-driver --dry-run",
		Args:    cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			if err := a.confirm(f.yes || f.dry, "Have OpenNebula remove disks without asking the daemon?"); err != nil {
				return err
			}
			in := installed{DryRun: f.dry}
			var err error
			in.Files, err = f.installer().RemoveDriver(ctx)
			return a.show(in, err)
		}),
	}
	f.add(cmd, false)
	yesFlag(cmd, &f.yes)
	return cmd
}
