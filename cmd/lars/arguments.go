package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// arrange brings arguments as people may write them into the form that cobra reads.
func arrange(root *cobra.Command, args []string) []string {
	return wordsLast(root, doubleDashes(args))
}

// doubleDashes lets long flags be written with one dash too, -config FILE, as the
// servers take them. Numbers and arguments after a "--" keep their dash.
func doubleDashes(args []string) []string {
	out := make([]string, len(args))
	copy(out, args)
	for i, a := range out {
		if a == "--" {
			break
		}
		if len(a) > 2 && a[0] == '-' && 'a' <= a[1] && a[1] <= 'z' {
			out[i] = "-" + a
		}
	}
	return out
}

// wordsLast makes negative ids work. If there is one, it moves all arguments that
// are not flags after a "--", where -1/2 is not taken for a flag.
func wordsLast(root *cobra.Command, args []string) []string {
	if !slices.ContainsFunc(args, isNegative) {
		return args
	}
	command, rest, err := root.Find(args)
	if err != nil {
		return args
	}
	out := strings.Fields(command.CommandPath())[1:]
	var words []string
	for i := 0; i < len(rest); i++ {
		switch a := rest[i]; {
		case a == "--":
			words = append(words, rest[i+1:]...)
			i = len(rest)
		case strings.HasPrefix(a, "-") && !isNegative(a):
			out = append(out, a)
			if i+1 < len(rest) && takesNext(command, a) {
				i++
				out = append(out, rest[i])
			}
		default:
			words = append(words, a)
		}
	}
	return append(append(out, "--"), words...)
}

func isNegative(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && '0' <= arg[1] && arg[1] <= '9'
}

// takesNext reports whether a flag's value is the next argument.
func takesNext(c *cobra.Command, arg string) bool {
	flag := c.Flag(strings.TrimLeft(arg, "-")) // nil for --name=value too
	return flag != nil && flag.NoOptDefVal == ""
}
