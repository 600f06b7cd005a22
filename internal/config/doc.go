// Package config fills the variables of a server from its INI file, its
// environment and its flags, as package flag does from flags alone.
//
//	var threads int
//	set := config.NewSet("lars-dns")
//	set.Int(&threads, "reactor", "threadNum", 5, config.Between(1, 256), "event loops that serve connections")
//	set.Alias("repoter", "reporter") // a file may write [repoter]
//	err := config.Parse(set, os.Args[1:], os.Environ(), os.Stdout)
//	if err != nil {
//		config.Fail(os.Stderr, set.Name(), err) // prints nothing for -h
//		os.Exit(config.ExitCode(err))
//	}
//
// A later source overrides an earlier one: default, file, environment
// (LARS_REACTOR_THREADNUM), flag (-reactor.threadNum). Names are exact, case
// included. In a file, ';' or '#' starts a comment at the start of a line or
// after a blank; a value in double quotes or backquotes may hold both. Section
// headings may repeat, a key may not. A secret may also come from a file that a
// second key names, or from a credential of systemd.
//
// Input that is not understood is an error that names the place and what is wanted
// there: an unknown section, key or variable, a key given twice, a bad or
// out-of-range value. All findings are reported together, at most ten. Warnings are
// for what works and is dangerous, such as a password in a file that all users can read.
//
// A Set belongs to one goroutine until Parse or Load has returned. After that
// it may be read from any goroutine, and so may the variables.
//
// Rules between keys are not checked here; the owner of the variables does
// that, with IsSet where it matters whether a value was given. Nothing is
// read again while a server runs.
package config
