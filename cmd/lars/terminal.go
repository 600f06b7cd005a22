package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// defaultWidth is that of text that goes elsewhere than to a terminal.
const defaultWidth = 100

// terminalWidth returns how many characters fit in a line.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return defaultWidth
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return defaultWidth
	}
	return int(size.Col)
}
