package main

import (
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	frontend "quarantine/integration/opennebula"
	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// terminates is what came of so many VMs of OpenNebula terminated within a
// minute: for each the hook's script is run and the disk removed.
type terminates struct {
	vms, captured int
	took          time.Duration // until the last disk was sealed
	// hook and nothing are the processor time of one run of the hook's script,
	// with its children, and of a script that does only `exit 0`, run after it.
	hook, nothing time.Duration
}

const (
	// hookWorkers is how many hooks run at once at most: what OpenNebula allows
	// by default (onehem-server.conf, concurrency).
	hookWorkers = 10
	// hookEvery is the time from one terminate to the next: 400 in 40 seconds
	// leave a third of the minute for the last disks to be sealed.
	hookEvery = 100 * time.Millisecond
)

//go:embed testdata/epilog.xml
var epilogMessage string

// terminate has the service hear of n terminates from the hook's script, over
// HTTP, and adopts their disks.
func (b *bench) terminate(ctx context.Context, n int) (res terminates, err error) {
	dir, err := os.MkdirTemp(b.lab.Dir, "hooks-")
	if err != nil {
		return res, fmt.Errorf("make the front-end's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	srv := httptest.NewServer(http.HandlerFunc(b.hook))
	defer srv.Close()
	conf := filepath.Join(dir, "opennebula.conf")
	for path, text := range map[string]string{
		conf:                        fmt.Sprintf("URL=%s\nSPOOL=%s\n", srv.URL, filepath.Join(dir, "spool")),
		filepath.Join(dir, "hook"):  frontend.HookScript(),
		filepath.Join(dir, "empty"): "#!/bin/sh\nexit 0\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			return res, fmt.Errorf("write the front-end's files: %w", err)
		}
	}
	script := func(name, stdin string, args ...string) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, "/bin/dash", append([]string{filepath.Join(dir, name)}, args...)...)
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "QUARANTINE_CONF=" + conf}
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("run the script %s: %w: %s", name, err, out)
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
	}
	ids := make([]string, n)
	names := make([]string, n)
	for i := range n {
		ids[i] = fmt.Sprint(100_000 + i)
		names[i] = "one-1-" + ids[i] + "-0"
	}
	if err := b.cloud.clone(ctx, b.pools.ours, names); err != nil {
		return res, err
	}
	type pair struct{ hook, nothing time.Duration }
	used := make(chan pair, n)
	next := time.NewTicker(hookEvery)
	defer next.Stop()
	began := b.now()
	err = each(ctx, hookWorkers, ids, func(id string) (err error) {
		select {
		case <-next.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var p pair
		if p.hook, err = script("hook", b.epilog(id, began)); err != nil {
			return err
		}
		p.nothing, err = script("empty", "")
		used <- p
		return err
	})
	if err != nil {
		return res, err
	}
	// As the front-end's timer does; nothing is left but what came as the last
	// hook's time was over.
	drained, err := script("hook", "", "--drain")
	if err != nil {
		return res, err
	}
	removed, err := b.cloud.remove(ctx, b.pools.ours, names)
	if err != nil {
		return res, err
	}
	entries, err := b.ours.entries(ctx, removed)
	if err != nil {
		return res, err
	}
	adopted := make(chan quarantine.Disk, n)
	if err := b.ours.adopt(ctx, maxWorkers, entries, adopted); err != nil { // an error if one is not joined
		return res, err
	}
	res = terminates{vms: n, captured: len(adopted), took: b.now().Sub(began)}
	close(used)
	res.hook = drained / time.Duration(n)
	for p := range used {
		res.hook += p.hook / time.Duration(n)
		res.nothing += p.nothing / time.Duration(n)
	}
	return res, nil
}

// hook is the daemon's route for hooks, without its tokens.
func (b *bench) hook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var ds []quarantine.Deletion
	if err == nil {
		ds, err = opennebula.Decode(cloudName, body)
	}
	if err == nil {
		err = b.ours.recorder.Record(r.Context(), ds)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "{}")
}

// epilog is a recorded message of a VM in EPILOG, as that of another one, whose
// disk is in the bench's pool and which began to die at the time.
func (b *bench) epilog(id string, at time.Time) string {
	text := strings.NewReplacer("@ID@", id, "@POOL@", b.pools.ours, "@TIME@", fmt.Sprint(at.Unix())).Replace(epilogMessage)
	return base64.StdEncoding.EncodeToString([]byte(text))
}
