package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxFile bounds what is read, in bytes, so that a wrong path (a log, a device)
// ends in an error and not in an exhausted machine.
const maxFile = 1 << 20

// This file reads INI as the original does, line by line. It uses no library: those
// at hand give no line numbers for the messages, keep the last of two equal keys
// silently, and have forms (continuation, interpolation, sections within sections)
// that would have to be turned off.

// line is one line of a file that says something: a heading or an assignment.
type line struct {
	number  int    // from 1
	heading string // of [heading]; "" for an assignment
	name    string
	value   string
	comment bool // a comment follows the value
}

// What a line can get wrong in its form. The texts do not show the line: it may hold
// a password.
var (
	errNoQuote    = errors.New("a quote that opens the value is not closed")
	errAfterQuote = errors.New("text after the quote that closes the value, want a comment after ';' or nothing")
	errNoForm     = errors.New("not understood, want [section], key = value, or a comment after ';'")
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

// noText reports whether r is a control character that no text holds. Errors quote
// names from the file, and these would reach the terminal.
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

func parseLine(text string) (line, error) {
	if text == "" || isComment(text) {
		return line{}, nil
	}
	if text[0] == '[' {
		return parseHeading(cutComment(text))
	}
	name, value, found := strings.Cut(text, "=")
	l := line{name: strings.TrimSpace(name)}
	if !found || l.name == "" {
		return line{}, errNoForm
	}
	var err error
	switch quoted := strings.TrimLeft(value, " \t"); {
	case strings.HasPrefix(quoted, `"`), strings.HasPrefix(quoted, "`"):
		l.value, err = unquote(quoted)
	default:
		l.value = strings.TrimSpace(cutComment(value))
		l.comment = len(l.value) < len(strings.TrimSpace(value))
	}
	return l, err
}

// unquote returns the text between the quote at the start of a value and the next
// one. Within double quotes, \" is a quote; within backquotes, no character is special.
func unquote(text string) (string, error) {
	quote := text[0]
	end := 1
	for end < len(text) && text[end] != quote {
		if quote == '"' && strings.HasPrefix(text[end:], `\"`) {
			end++
		}
		end++
	}
	if end >= len(text) {
		return "", errNoQuote
	}
	if rest := strings.TrimSpace(text[end+1:]); rest != "" && !isComment(rest) {
		return "", errAfterQuote
	}
	value := text[1:end]
	if quote == '"' {
		value = strings.ReplaceAll(value, `\"`, `"`)
	}
	return value, nil
}

func parseHeading(text string) (line, error) {
	name := strings.TrimSpace(strings.TrimSuffix(text[1:], "]"))
	if name == "" || strings.ContainsAny(name, "[]") || !strings.HasSuffix(text, "]") {
		return line{}, errNoForm
	}
	return line{heading: name}, nil
}

// isComment reports whether a text that is not empty is a comment.
func isComment(text string) bool { return text[0] == ';' || text[0] == '#' }

// cutComment removes the comment after a value or a heading. It needs a blank before
// it, so that a password like a#b stays as it is, as in the original.
func cutComment(text string) string {
	for i := 1; i < len(text); i++ {
		if isComment(text[i:]) && (text[i-1] == ' ' || text[i-1] == '\t') {
			return strings.TrimSpace(text[:i])
		}
	}
	return text
}
