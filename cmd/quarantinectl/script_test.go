package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// update writes what the program prints into the scripts.
var update = flag.Bool("update", false, "write the output into the scripts of testdata")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"quarantinectl": main})
}

// daemonKey finds a script's daemon.
type daemonKey struct{}

// The sessions in testdata run the real program, each against a daemon of its
// own (daemon_test.go). Beside testscript's own commands there are:
//
//	exits STATUS PROGRAM ARG…             run it and compare the exit status
//	answer METHOD PATH STATUS TYPE FILE   the daemon answers this from now on
//	requests                              print what the daemon was asked, and forget it
//	asked METHOD PATH                     wait until the daemon was asked this
//	holes FILE BYTES                      the file takes no more room than that
//	mode FILE BITS                        the file has this mode
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			d := newDaemon()
			env.Defer(d.close)
			env.Values[daemonKey{}] = d
			env.Setenv("QUARANTINE_SERVER", d.url())
			env.Setenv("QUARANTINE_TOKEN", operatorToken)
			env.Setenv("COLUMNS", "80") // as on a terminal
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    exits,
			"answer":   setAnswer,
			"requests": printRequests,
			"asked":    awaitRequest,
			"holes":    checkHoles,
			"mode":     checkMode,
		},
	})
}

func daemonOf(ts *testscript.TestScript) *daemon { return ts.Value(daemonKey{}).(*daemon) }

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got, err = exit.ExitCode(), nil
	}
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func setAnswer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: answer METHOD PATH STATUS TYPE FILE")
	}
	status, err := strconv.Atoi(args[2])
	ts.Check(err)
	daemonOf(ts).set(args[0]+" "+args[1], canned{status: status, media: args[3], body: ts.ReadFile(args[4])})
}

func printRequests(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: requests")
	}
	for _, r := range daemonOf(ts).take() {
		_, err := fmt.Fprintln(ts.Stdout(), r)
		ts.Check(err)
	}
}

func awaitRequest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: asked METHOD PATH")
	}
	ts.Check(daemonOf(ts).await(strings.Join(args, " ")))
}

func checkHoles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: holes FILE BYTES")
	}
	most, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	var st syscall.Stat_t
	ts.Check(syscall.Stat(ts.MkAbs(args[0]), &st))
	if st.Blocks*512 > most {
		ts.Fatalf("%s of %d bytes takes %d bytes of room", args[0], st.Size, st.Blocks*512)
	}
}

func checkMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE BITS")
	}
	st, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", st.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}
