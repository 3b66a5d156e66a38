package catalog

import (
	"fmt"

	"quarantine/internal/quarantine"
)

// unavailable is an error of the database itself: what was wanted, and why it
// was not had. Nothing may be concluded from it.
func unavailable(err error, format string, args ...any) error {
	return fmt.Errorf("catalog: %s: %w: %w", fmt.Sprintf(format, args...), quarantine.ErrUnavailable, err)
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("catalog: %w: %s", quarantine.ErrInvalid, fmt.Sprintf(format, args...))
}
