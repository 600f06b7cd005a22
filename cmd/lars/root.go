package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lars.internal/cmd/internal/process"
	"lars.internal/internal/config"
)

// newRoot returns the command with all that is below it.
func newRoot(env process.Env) *cobra.Command {
	s := &settings{env: env}
	root := &cobra.Command{
		Use:   "lars",
		Short: "Operate Lars: run it, ask it, edit its routes, inspect an agent",
		Long: `Lars answers one question fast: which host shall I call for this service now?
This is the operator's command. A service is named by its two ids, 1/2 or 1 2: modid
and cmdid. Flags may be written with one dash or two.`,
		Args:          noSuchCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		Version:       versionText(),
		SilenceErrors: true, // main prints the error, once
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("lars {{.Version}}\n")
	s.bind(root)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, "%v", err) })
	root.AddCommand(
		newUp(s), newGetHost(s), newGetRoute(s), newReport(s), newSimulator(s), newSimulate(s), newExample(s), newQPS(s),
		newRoute(s), newHost(s), newService(s), newStatus(s), newWhy(s), newAgent(s), newDB(s), newVersion(s),
	)
	completeNoFiles(root)
	return root
}

// group returns a command that only holds others.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: short, Args: noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(commands...)
	return c
}

// usage returns an error that makes the process exit with 2.
func usage(c *cobra.Command, format string, args ...any) error {
	text := strings.TrimSpace(strings.TrimPrefix(c.CommandPath(), c.Root().Name()))
	if text != "" {
		text += ": "
	}
	text += fmt.Sprintf(format, args...)
	return &usageError{fmt.Sprintf("%s; see %s --help", text, c.CommandPath())}
}

type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func (e *usageError) Is(target error) bool { return target == config.ErrUsage }

// noSuchCommand is for commands that hold others: an argument is the name of one
// that does not exist.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		return usage(c, "there is no command %q, but %s", args[0], strings.Join(like, " and "))
	}
	return usage(c, "there is no command %q", args[0])
}

func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(c, "unexpected argument %q", args[0])
	}
	return nil
}

// because adds to an error of this kind what the user can do about it.
func because(err error, sentinel error, format string, args ...any) error {
	if errors.Is(err, sentinel) {
		return fmt.Errorf("%w; %s", err, fmt.Sprintf(format, args...))
	}
	return err
}
