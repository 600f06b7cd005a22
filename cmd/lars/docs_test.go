package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"lars.internal/cmd/internal/process"
)

var update = flag.Bool("update", false, "write docs/commands.md anew")

const commandsFile = "../../docs/commands.md"

// TestCommandsDocumented: docs/commands.md is what the commands say of themselves.
func TestCommandsDocumented(t *testing.T) {
	root := newRoot(process.Env{Stdout: io.Discard, Stderr: io.Discard})
	want := document(root)
	if *update {
		if err := os.WriteFile(commandsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(commandsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the commands say of themselves: run make generate", commandsFile)
	}
}

// TestCommandsExplainThemselves: each command has the texts that its page needs.
func TestCommandsExplainThemselves(t *testing.T) {
	eachCommand(newRoot(process.Env{Stdout: io.Discard, Stderr: io.Discard}), func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: want a short text without a full stop, got %q", c.CommandPath(), c.Short)
		}
		if c.HasSubCommands() {
			return
		}
		if c.RunE == nil {
			t.Errorf("%s does nothing", c.CommandPath())
		}
	})
}

func eachCommand(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		eachCommand(sub, f)
	}
}

// document writes a page in Markdown.
func document(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The command lars\n\n%s\n\n", root.Long)
	b.WriteString("It exits with 0 on success, with 1 after an error, which it reports in one line, and\nwith 2 when the command line was wrong. `lars completion` writes completions for a\nshell.\n\n")
	b.WriteString("Flags that all commands take:\n\n```\n" + root.PersistentFlags().FlagUsages() + "```\n")
	eachCommand(root, func(c *cobra.Command) {
		if !c.HasSubCommands() {
			documentOne(&b, c)
		}
	})
	return b.String()
}

func documentOne(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n", strings.TrimSuffix(c.UseLine(), " [flags]"))
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	b.WriteString(text + "\n")
	flags := c.NonInheritedFlags()
	if c.Parent() != c.Root() {
		flags.AddFlagSet(c.Parent().PersistentFlags())
	}
	if flags.HasFlags() {
		fmt.Fprintf(b, "\n```\n%s```\n", flags.FlagUsages())
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\nFor example:\n\n```\n%s\n```\n", c.Example)
	}
}
