package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Secret is a text that no log, help or error may show: a password, a key, a
// DSN that holds one. The value itself is string(s).
type Secret string

// Format prints "(secret)" for every verb, nothing for an empty secret.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// String returns "(secret)", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// MarshalText hides the secret from encoders, package json and slog among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// secretKey is a key that holds a secret, with the key that names a file of it.
type secretKey struct {
	value *Secret
	path  *string
	entry *entry // of the secret
	file  *entry // of the path
}

// Secret declares a key that holds any text and is never printed, and a second one,
// with _file after its name, that names a file of it. The default of both is empty: a
// secret that everybody knows is none.
//
// Of secret and file the one that the later source gives counts. If no source gives
// either, the file SECTION.NAME in $CREDENTIALS_DIRECTORY does, where systemd puts what
// LoadCredential=SECTION.NAME:FILE names.
func (s *Set) Secret(p *Secret, section, name, doc string) {
	bind(s, p, section, name, "", kind[Secret]{
		name:   "secret",
		want:   "a text",
		parse:  func(text string) (Secret, bool) { return Secret(text), true },
		format: Secret.String,
	}, doc)
	path := new(string)
	s.String(path, section, name+"_file", "", "file that holds "+name+", instead of it; empty: none")
	n := len(s.entries)
	s.secrets = append(s.secrets, secretKey{p, path, s.entries[n-2], s.entries[n-1]})
}

// loadSecrets reads the files of secrets, after all sources.
func (s *Set) loadSecrets(src Sources, found *findings) {
	credentials := ""
	for _, pair := range src.Environ {
		if dir, ok := strings.CutPrefix(pair, "CREDENTIALS_DIRECTORY="); ok {
			credentials = dir
		}
	}
	for _, k := range s.secrets {
		given := *k.value != ""
		switch {
		case *k.path != "" && given && k.entry.from == k.file.from:
			found.add("%v and %s are both given, want one of them", k.entry.Key, k.file.Name)
		case *k.path != "" && !(given && k.entry.from > k.file.from):
			k.read(s, found)
		case given:
			s.warnExposed(k, src.File)
		case credentials != "":
			k.readCredential(credentials, found)
		}
	}
}

func (k secretKey) read(s *Set, found *findings) {
	text, mode, err := readSecret(*k.path)
	if err != nil {
		found.add("%v: %v", k.file.Key, err)
		return
	}
	if mode&0o004 != 0 {
		s.warn("%v: %s can be read by every user of this machine; chmod 600 %[2]s", k.file.Key, *k.path)
	}
	*k.value, k.entry.from = Secret(text), k.file.from
}

// readCredential takes the credential of systemd for this key, if there is one.
func (k secretKey) readCredential(dir string, found *findings) {
	path := filepath.Join(dir, k.entry.Section+"."+k.entry.Name)
	text, _, err := readSecret(path)
	switch {
	case os.IsNotExist(err):
	case err != nil:
		found.add("credential %s.%s: %v", k.entry.Section, k.entry.Name, err)
	default:
		*k.value, k.entry.from = Secret(text), fromCredential
	}
}

// warnExposed warns of a password where other users of the machine see it.
func (s *Set) warnExposed(k secretKey, file string) {
	if k.entry.Name == "dsn" && !strings.Contains(string(*k.value), "@") {
		return // names no user, so it holds no password
	}
	way := fmt.Sprintf("use %v, or %s in the environment", k.file.Key, k.entry.Env())
	switch k.entry.from {
	case fromFlag:
		s.warn("-%s: every user of this machine can see the flags of a process; %s", k.entry.Flag(), way)
	case fromFile:
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o004 != 0 {
			s.warn("%s holds %v and can be read by every user of this machine; chmod 600 it, or %s", file, k.entry.Key, way)
		}
	}
}

// maxSecret bounds the file of a secret, in bytes.
const maxSecret = 64 << 10

// readSecret returns the text of a file without the end of its last line.
func readSecret(path string) (string, os.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", 0, err
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" || len(secret) > maxSecret || strings.ContainsFunc(secret, noText) || strings.Contains(secret, "\n") {
		return "", 0, fmt.Errorf("read %s: want one line of text", path)
	}
	return secret, info.Mode().Perm(), nil
}
