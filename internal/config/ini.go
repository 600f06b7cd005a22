package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"gopkg.in/ini.v1"
)

// maxFile bounds what is read, in bytes, so that a wrong path (a log, a device)
// ends in an error and not in an exhausted machine.
const maxFile = 1 << 20

// iniOptions hold the parser to what the original's reader takes: '=' alone
// delimits, and a value ends with its line.
var iniOptions = ini.LoadOptions{
	KeyValueDelimiters:        "=",
	IgnoreContinuation:        true,
	IgnoreInlineComment:       true, // cutComment has done it
	UnescapeValueDoubleQuotes: true,
}

// line is one line of a file that says something: a heading or an assignment.
type line struct {
	number  int    // from 1
	heading string // of [heading]; "" for an assignment
	name    string
	value   string
}

// errNoQuote and errNoForm are what a line can get wrong in its form. They do
// not show the line: it may hold a password.
var (
	errNoQuote = errors.New("a quote that opens the value is not closed")
	errNoForm  = errors.New("not understood, want [section], key = value, or a comment after ';'")
)

// readText returns the text of a file of at most maxFile bytes. It takes any
// encoding, as comments of the original's files have several.
func readText(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxFile {
		return "", fmt.Errorf("read %s: more than %d bytes, not a configuration file", path, maxFile)
	}
	if bytes.ContainsFunc(text, noText) {
		return "", fmt.Errorf("read %s: control characters in it, not a configuration file", path)
	}
	return strings.TrimPrefix(string(text), "\uFEFF"), nil
}

// noText tells the control characters that no text holds. Errors quote names from
// the file, and these would reach the terminal.
func noText(r rune) bool {
	return r < ' ' && (r < '\t' || '\r' < r) || r == 0x7f
}

// scan calls each for every line that says something. An error is about the
// form of that line alone.
func scan(text string, each func(line, error)) {
	number := 0
	for raw := range strings.Lines(text) {
		number++
		l, err := parseLine(strings.TrimSpace(raw))
		l.number = number
		if err != nil || l.heading != "" || l.name != "" {
			each(l, err)
		}
	}
}

// parseLine gives the parser one line at a time, since it does not tell line
// numbers and keeps the last of two equal keys.
func parseLine(text string) (line, error) {
	text = cutComment(text)
	f, err := ini.LoadSources(iniOptions, []byte(text))
	switch {
	case ini.IsErrDelimiterNotFound(err) || ini.IsErrEmptyKeyName(err):
		return line{}, errNoForm
	case strings.HasPrefix(text, "["):
		return parseHeading(text)
	case err != nil:
		return line{}, errNoQuote
	}
	for _, key := range f.Section("").Keys() {
		return line{name: key.Name(), value: key.Value()}, nil
	}
	return line{}, nil
}

func parseHeading(text string) (line, error) {
	name := strings.TrimSpace(strings.TrimSuffix(text[1:], "]"))
	if name == "" || strings.ContainsAny(name, "[]") || !strings.HasSuffix(text, "]") {
		return line{}, errNoForm
	}
	return line{heading: name}, nil
}

// A comment behind a value needs a blank before it, so that a password like a#b
// stays whole, as it does in the original.
var commentStart = regexp.MustCompile(`[ \t][;#]`)

// cutComment removes the comment behind a value or a heading, unless the value
// is quoted: there the closing quote ends the value.
func cutComment(text string) string {
	from := strings.IndexByte(text, '=') + 1
	if value := strings.TrimLeft(text[from:], " \t"); from > 0 && (strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "`")) {
		return text
	}
	if at := commentStart.FindStringIndex(text[from:]); at != nil {
		return strings.TrimSpace(text[:from+at[0]])
	}
	return text
}
