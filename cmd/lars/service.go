package main

import (
	"strings"

	"github.com/spf13/cobra"

	"lars.internal/route"
)

// takeService takes a service, 1/2 or 1 2, from the front of the arguments.
func takeService(c *cobra.Command, args []string) (route.Key, []string, error) {
	if len(args) == 0 {
		return route.Key{}, nil, usage(c, "which service? Name it as 1/2")
	}
	text, rest := args[0], args[1:]
	if isNumber(text) && len(rest) > 0 && isNumber(rest[0]) {
		text, rest = text+"/"+rest[0], rest[1:]
	}
	key, err := route.ParseKey(text)
	if err != nil {
		return route.Key{}, nil, usage(c, "%v", err)
	}
	return key, rest, nil
}

// isNumber reports whether s is an id of any size. ParseKey refuses one that is too
// large.
func isNumber(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

// onlyService takes a service as the only argument.
func onlyService(c *cobra.Command, args []string) (route.Key, error) {
	key, rest, err := takeService(c, args)
	if err == nil && len(rest) > 0 {
		err = usage(c, "unexpected argument %q", rest[0])
	}
	return key, err
}

// maybeService takes a service if there is one. Nil means all services.
func maybeService(c *cobra.Command, args []string) (*route.Key, error) {
	if len(args) == 0 {
		return nil, nil
	}
	key, err := onlyService(c, args)
	return &key, err
}
