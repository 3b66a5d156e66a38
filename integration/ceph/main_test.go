package cephlab

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

// ownerEnv makes the test binary the owner of a lab in the directory that the
// variable names.
const ownerEnv = "CEPHLAB_TEST_OWNER"

// TestMain lets more tests run at once than there are processors: most of
// their time they wait for Ceph.
func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerEnv); dir != "" {
		own(dir)
	}
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", "12"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// own starts a lab, says its fsid, and waits to be killed.
func own(dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	l, err := Start(ctx, Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.FSID)
	select {}
}
