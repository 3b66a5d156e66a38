package cephlab

import (
	"context"
	"errors"
	"testing"
	"time"
)

// testContext ends with the test, and before go test loses patience.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// newPool makes a pool for the test in the shared lab.
func newPool(t *testing.T, ctx context.Context) (*Lab, string) {
	t.Helper()
	l := Shared(t)
	pool, err := l.NewPool(ctx, "lab")
	if err != nil {
		t.Fatal(err)
	}
	return l, pool
}

// must returns a function that runs `rbd` as a user and fails the test if
// that fails.
func must(t *testing.T, ctx context.Context, l *Lab) func(user string, args ...string) string {
	return func(user string, args ...string) string {
		t.Helper()
		out, err := l.RBD(ctx, user, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// wantStatus fails the test unless err is a command's end with that status.
func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	var ce *CommandError
	if !errors.As(err, &ce) {
		t.Fatalf("got %v, want exit status %d", err, status)
	}
	if ce.Status != status {
		t.Fatalf("got %v, want exit status %d", err, status)
	}
}

const (
	eperm     = 1
	eacces    = 13
	enotempty = 39
)

// guard switches the pool's guard on, as an operator does.
func guard(t *testing.T, ctx context.Context, l *Lab, pool string) {
	t.Helper()
	rbd := must(t, ctx, l)
	rbd(Quarantine, "config", "pool", "set", pool, "rbd_move_to_trash_on_remove_expire_seconds", "86400")
	rbd(Quarantine, "config", "pool", "set", pool, "rbd_move_to_trash_on_remove", "true")
}
