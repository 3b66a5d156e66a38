// Quarantinectl is the admin's command line: it asks the daemon over its HTTP
// API and shows the answer. It is pure Go, needs no Ceph libraries and no Ceph
// key, and decides nothing by itself. One file holds one command; exit.go has
// the exit statuses, hints.go what a person can do about an error.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run is the whole program; it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	// The first signal ends the work in order (an export removes what it has
	// written so far); the second ends the process at once, because stop()
	// gives the signal back to its default action.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, env: env, clock: time.Now, screen: screenOf(stdin, stdout, stderr, env("COLUMNS"))}
	return a.main(ctx, args)
}
