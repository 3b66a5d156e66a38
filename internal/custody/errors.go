package custody

import (
	"errors"
	"fmt"

	"quarantine/internal/quarantine"
)

// ErrDamaged: the log was changed otherwise than by this package. Every
// FaultError is one.
var ErrDamaged = errors.New("the custody log is damaged")

// FaultError says where the chain breaks. Unwrap gives ErrDamaged.
type FaultError struct {
	// Path is the log's file, Offset the place in it of the first line that
	// does not fit, in bytes, and Seq the number that this line should have.
	Path   string
	Offset int64
	Seq    uint64
	// Reason is what does not fit.
	Reason string
}

// Error names the place and the reason.
func (e *FaultError) Error() string {
	return fmt.Sprintf("custody: %s: %v at line %d (byte %d): %s", e.Path, ErrDamaged, e.Seq, e.Offset, e.Reason)
}

// Unwrap gives ErrDamaged.
func (e *FaultError) Unwrap() error { return ErrDamaged }

var errClosed = errors.New("the custody log is closed")

func unavailable(err error, format string, args ...any) error {
	return fmt.Errorf("custody: %s: %w: %w", fmt.Sprintf(format, args...), quarantine.ErrUnavailable, err)
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("custody: %w: %s", quarantine.ErrInvalid, fmt.Sprintf(format, args...))
}

func busy(path string) error {
	return fmt.Errorf("custody: %s is open in another process: %w", path, quarantine.ErrBusy)
}
