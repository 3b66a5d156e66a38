package quarantine

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// What is found ahead is its caller's: the value, the error, and a panic with its stack;
// and who calls end leaves nothing running.
func TestAhead(t *testing.T) {
	ctx := context.Background()
	found, end := ahead(ctx, func(context.Context) (int, error) { return 7, nil })
	if n, err := found(); n != 7 || err != nil {
		t.Errorf("found %d, %v", n, err)
	}
	end()

	broken := errors.New("broken")
	found, end = ahead(ctx, func(context.Context) (int, error) { return 0, broken })
	if _, err := found(); !errors.Is(err, broken) {
		t.Errorf("found an error %v", err)
	}
	end()

	found, end = ahead(ctx, func(context.Context) (int, error) { panic("a defect") })
	for name, call := range map[string]func(){"asks for it": func() { _, _ = found() }, "does not need it": end} {
		func() {
			defer func() {
				if p, _ := recover().(string); !strings.Contains(p, "a defect") || !strings.Contains(p, "TestAhead") {
					t.Errorf("who %s gets the panic %q", name, p)
				}
			}()
			call()
		}()
	}

	gone := false
	_, end = ahead(ctx, func(ctx context.Context) (int, error) {
		<-ctx.Done()
		gone = true
		return 0, ctx.Err()
	})
	end()
	if !gone {
		t.Error("who does not need it any more leaves it running")
	}
}
