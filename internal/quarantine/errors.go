package quarantine

import (
	"errors"
	"fmt"
)

// The sentinels that callers branch on. Adapters wrap them; the API maps them
// to HTTP statuses, and the CLI to exit statuses.
var (
	// ErrNotFound: no such disk, deletion, pool or image.
	ErrNotFound = errors.New("not found")
	// ErrExists: a row or an image of that key is already there.
	ErrExists = errors.New("already exists")
	// ErrConflict: somebody else changed the row since it was read.
	ErrConflict = errors.New("changed meanwhile")
	// ErrInvalid: the input is wrong; nothing was changed.
	ErrInvalid = errors.New("invalid")
	// ErrRefused: a policy, a hold or a safety margin forbids the act.
	ErrRefused = errors.New("refused")
	// ErrBusy: the image or the disk is in use just now.
	ErrBusy = errors.New("busy")
	// ErrNoRecord: the image bears no quarantine record.
	ErrNoRecord = errors.New("no quarantine record")
	// ErrUnavailable: a system that is needed cannot be reached or did not
	// answer in time. Nothing may be concluded from it.
	ErrUnavailable = errors.New("unavailable")
)

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func refusedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}
