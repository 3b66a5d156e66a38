package client_test

import (
	"errors"
	"net/http"
	"testing"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// A check's findings and progress are told as they come; one that ends before its
// last line has not looked at everything.
func TestCheck(t *testing.T) {
	t.Parallel()
	const begun = `{"done":1,"total":2}` + "\n" + `{"finding":{"kind":"size","severity":"fault","what":"w","next":"n"}}` + "\n"
	run := func(body string) (res quarantine.CheckResult, found, done int, err error) {
		c := serve(t, answer(http.StatusOK, "application/x-ndjson", body))
		res, err = c.Check(t.Context(), func(f quarantine.CheckFinding) error {
			if f.Kind == quarantine.CheckSize {
				found++
			}
			return nil
		}, func(d, _ uint64) { done += int(d) })
		return res, found, done, err
	}
	if res, found, done, err := run(begun + `{"result":{"rows":2,"faults":1}}`); err != nil || res.Rows != 2 || found != 1 || done != 1 {
		t.Errorf("%+v, %d findings, %d done, %v", res, found, done, err)
	}
	if _, found, _, err := run(begun); !errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrUncertain) || found != 1 {
		t.Errorf("cut short: %d findings, %v", found, err)
	}
	var problem *wire.Problem
	if _, _, _, err := run(begun + `{"error":{"status":503,"title":"t","detail":"no answer","code":"unavailable"}}`); !errors.As(err, &problem) || !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("failed: %v", err)
	}
	enough := errors.New("enough")
	c := serve(t, answer(http.StatusOK, "application/x-ndjson", begun))
	if _, err := c.Check(t.Context(), func(quarantine.CheckFinding) error { return enough }, nil); !errors.Is(err, enough) {
		t.Errorf("stopped: %v", err)
	}
}

// So is how far the application of a policy is. One that ended without a last line
// may have changed something.
func TestApplyPolicy(t *testing.T) {
	t.Parallel()
	run := func(body string) (res quarantine.PolicyApplication, done int, err error) {
		c := serve(t, answer(http.StatusOK, "application/x-ndjson", body))
		res, err = c.ApplyPolicy(t.Context(), wire.ApplyRequest{Reason: "r"}, func(d, _ uint64) { done += int(d) })
		return res, done, err
	}
	const begun = `{"done":500,"total":900}` + "\n"
	if res, done, err := run(begun + `{"result":{"policy":"c0ffee","disks":900,"longer":3,"request":{"id":"9c0ffee0c0ffee09"}}}`); err != nil || res.Longer != 3 || res.Request.ID != "9c0ffee0c0ffee09" || done != 500 {
		t.Errorf("%+v, %d done, %v", res, done, err)
	}
	if _, _, err := run(begun); !errors.Is(err, client.ErrUncertain) {
		t.Errorf("cut short: %v", err)
	}
	if _, _, err := run(begun + `{"error":{"status":409,"title":"t","detail":"changed","code":"refused"}}`); !errors.Is(err, quarantine.ErrRefused) {
		t.Errorf("refused: %v", err)
	}
}
