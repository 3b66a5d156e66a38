package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

// exported is what `export` tells.
type exported struct {
	Disk      string `json:"disk"`
	File      string `json:"file"`
	SizeBytes int64  `json:"size_bytes"`
	SHA256    string `json:"sha256"`
}

func exportCommand(a *app) *cobra.Command {
	var r wire.ReasonRequest
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "export ID FILE|- --reason TEXT",
		Short: "Write a disk to a raw file, with its SHA-256 checked",
		Long: `Write the sealed bytes of a disk to a raw file, with holes where the disk is
empty. The SHA-256 of the whole disk, zeros included, is counted here and
compared with the daemon's; only then does FILE.partial become FILE. It is
printed as sha256sum does.

With - the disk goes to standard output and the digest to standard error; look
at the exit status before you trust it.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example: `  quarantinectl export 3fa1c09be2d47a55 evidence.raw --reason "case 4711"
  quarantinectl export 3fa1c09be2d47a55 - --reason "case 4711" | zstd > evidence.raw.zst`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeDisk,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if args[1] == "-" {
			return a.exportStream(ctx, c, args[0], r)
		}
		return a.exportFile(ctx, c, args[0], args[1], overwrite, r)
	})
	reasonFlag(cmd, &r.Reason)
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "replace a file that exists")
	return cmd
}

func (a *app) exportFile(ctx context.Context, c *client.Client, id, path string, overwrite bool, r wire.ReasonRequest) (err error) {
	if err := mayWrite(path, overwrite); err != nil {
		return err
	}
	d, err := look(ctx, c, id)
	if err != nil {
		return err
	}
	partial := path + ".partial"
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("begin the file: %w", err)
	}
	kept := false
	defer func() {
		if !kept {
			err = errors.Join(err, os.Remove(partial))
		}
	}()
	e, err := a.export(ctx, c, d.ID, r, &fileBytes{f: f})
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := mayWrite(path, overwrite); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return fmt.Errorf("name the file: %w", err)
	}
	kept = true
	e.File = path
	return a.print(e, func(p *page) { p.line("%s  %s", e.SHA256, e.File) })
}

// exportStream writes the disk to standard output.
func (a *app) exportStream(ctx context.Context, c *client.Client, id string, r wire.ReasonRequest) error {
	if a.screen.stdout {
		return hint(fmt.Errorf("%w: standard output is a terminal, which is no place for a disk", errUsage), "name a file, or write to a pipe")
	}
	d, err := look(ctx, c, id)
	if err != nil {
		return err
	}
	e, err := a.export(ctx, c, d.ID, r, &streamBytes{w: a.stdout})
	if err != nil {
		return err
	}
	a.say("%s  -", e.SHA256)
	return nil
}

// export reads the disk into the bytes' place, and compares the digests.
func (a *app) export(ctx context.Context, c *client.Client, id string, r wire.ReasonRequest, to diskBytes) (exported, error) {
	bar := a.newProgress("export", true)
	defer bar.end()
	sink := newExportSink(to, bar.at)
	theirs, err := c.Export(ctx, id, r, sink)
	if err != nil {
		return exported{}, err
	}
	ours, err := sink.finish()
	if err != nil {
		return exported{}, err
	}
	if ours != theirs {
		return exported{}, hint(fmt.Errorf("%w: the SHA-256 of what came is %x, and the daemon counted %x: the disk was damaged on its way", errFailed, ours, theirs), "export it again")
	}
	return exported{Disk: id, File: "-", SizeBytes: sink.size, SHA256: hex.EncodeToString(ours[:])}, nil
}

// mayWrite refuses what would destroy a file that is not an export's.
func mayWrite(path string, overwrite bool) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the file: %w", err)
	case !st.Mode().IsRegular():
		return fmt.Errorf("%w: %s exists and is no plain file", errUsage, path)
	case !overwrite:
		return hint(fmt.Errorf("%w: %s exists", errUsage, path), "--overwrite replaces it")
	}
	return nil
}
