package main

import (
	"os"
	"strconv"

	"github.com/vbauerster/mpb/v8/cwriter"
)

// screen is what the streams are connected to.
type screen struct {
	// stdin, stdout and stderr are terminals.
	stdin, stdout, stderr bool
	// width is that of standard output in columns; where it is not a terminal,
	// what COLUMNS says, or as wide as there is something to say: what grep
	// gets must not lack a column.
	width int
}

const plainWidth = 1 << 12

func screenOf(stdin, stdout, stderr any, columns string) screen {
	s := screen{stdin: isTerminal(stdin), stdout: isTerminal(stdout), stderr: isTerminal(stderr), width: plainWidth}
	if n, err := strconv.Atoi(columns); err == nil && n > 0 {
		s.width = n
	}
	if f, ok := stdout.(*os.File); ok && s.stdout {
		if w, _, err := cwriter.GetSize(int(f.Fd())); err == nil && w > 0 {
			s.width = w
		}
	}
	return s
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && cwriter.IsTerminal(int(f.Fd()))
}
