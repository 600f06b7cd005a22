package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// ErrHelp and ErrVersion say that Parse has printed what -h or -version asked
// for; the program should exit with code 0.
var (
	ErrHelp    = errors.New("help was printed")
	ErrVersion = errors.New("the version was printed")
)

// Parse loads a set from the arguments after the program's name and the
// environment; -config FILE names the file. It prints to stdout for -h and
// -version only. Its errors are those of Load, ErrHelp, ErrVersion, and others
// that wrap ErrUsage.
func Parse(s *Set, args, environ []string, stdout io.Writer) error {
	src := Sources{Environ: environ, Flags: map[string]string{}}
	fs, version := s.flagSet(&src)
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		s.printHelp(stdout)
		return ErrHelp
	case err != nil:
		return s.usageError(err.Error())
	case *version:
		fmt.Fprintf(stdout, "%s %s\n", s.name, s.BuildVersion())
		return ErrVersion
	case fs.NArg() > 0:
		return s.usageError(fmt.Sprintf("unexpected argument %q, want flags only", fs.Arg(0)))
	}
	return s.Load(src)
}

// flagSet returns the flags of the program; parsing them fills src.
func (s *Set) flagSet(src *Sources) (fs *flag.FlagSet, version *bool) {
	fs = flag.NewFlagSet(s.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the caller prints the error, once
	fs.StringVar(&src.File, "config", "", "")
	version = fs.Bool("version", false, "")
	for _, e := range s.entries {
		fs.Func(e.Flag(), "", func(text string) error {
			src.Flags[e.Flag()] = text
			return nil
		})
	}
	return fs, version
}

func (s *Set) usageError(text string) error {
	return &loadError{fmt.Sprintf("%s; %s -h lists the flags", text, s.name), true}
}

// BuildVersion returns Version, or without one what the Go command noted in the
// binary.
func (s *Set) BuildVersion() string {
	if s.Version != "" {
		return s.Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// printHelp lists all flags by section, each with its default and meaning.
func (s *Set) printHelp(w io.Writer) {
	fmt.Fprintf(w, "Usage: %s [-config FILE] [-section.key VALUE]...\n\n", s.name)
	fmt.Fprint(w, "A flag overrides the environment (LARS_SECTION_KEY), which overrides FILE.\n\n")
	fmt.Fprint(w, "  -config FILE\n        INI file to read; without it the defaults hold\n")
	fmt.Fprint(w, "  -version\n        print the version and exit\n")
	for _, section := range s.sections() {
		fmt.Fprintf(w, "\n[%s]\n", section)
		for _, e := range s.entries {
			if e.Section == section {
				fmt.Fprintf(w, "  -%s %s\n        %s\n", e.Flag(), strings.ToUpper(e.Kind), e.helpLine())
			}
		}
	}
}

func (k Key) helpLine() string {
	def := k.Default
	if def == "" {
		def = "empty"
	}
	return fmt.Sprintf("%s; %s (default %s)", k.Doc, k.Want, def)
}

// Fail prints an error to w, the program's name before each of its lines, and
// nothing for ErrHelp and ErrVersion.
func Fail(w io.Writer, program string, err error) {
	if ExitCode(err) == 0 {
		return
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "%s: %s\n", program, strings.TrimSuffix(line, "\n"))
	}
}

// ExitCode returns the exit code for an error of Parse: 0 for none, ErrHelp and
// ErrVersion, 2 for ErrUsage, else 1.
func ExitCode(err error) int {
	switch {
	case err == nil || errors.Is(err, ErrHelp) || errors.Is(err, ErrVersion):
		return 0
	case errors.Is(err, ErrUsage):
		return 2
	}
	return 1
}
