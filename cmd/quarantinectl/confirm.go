package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// confirm asks a person. Without a terminal there is nobody to ask, and the
// answer must stand on the command line as --yes.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.screen.stdin {
		return hint(fmt.Errorf("%w: this needs a confirmation, and standard input is not a terminal", errUsage), "say --yes if you mean it")
	}
	if _, err := fmt.Fprintf(a.stderr, "%s [y/N] ", question); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	answer, err := readLine(a.stdin)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return fmt.Errorf("%w: not confirmed, nothing was done", errFailed)
}

// readLine reads up to a line's end and not a byte more.
func readLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := r.Read(b)
		if n > 0 && b[0] != '\n' {
			line = append(line, b[0])
		}
		switch {
		case n > 0 && b[0] == '\n', errors.Is(err, io.EOF):
			return string(line), nil
		case err != nil:
			return "", err
		}
	}
}
