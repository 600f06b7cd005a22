package config_test

import (
	"strings"
	"testing"

	"lars.internal/internal/config"
)

// A misspelt variable was once ignored, so the server ran with the default.
func TestFinding42UnknownVariableIsAnError(t *testing.T) {
	for _, c := range []struct{ name, variable, want string }{
		{"misspelt", "LARS_REACTOR_PROT=5", "LARS_REACTOR_PROT: unknown variable, did you mean LARS_REACTOR_PORT?"},
		{"misspelt name of a sibling", "LARS_DNS_SNAPSHO=x", "LARS_DNS_SNAPSHO: unknown variable, did you mean LARS_DNS_SNAPSHOT?"},
		{"other case", "LARS_reactor_port=5", "LARS_reactor_port: unknown variable, did you mean LARS_REACTOR_PORT?"},
		{"of a sibling", "LARS_DNS_SNAPSHOT=x", ""},
		{"empty", "LARS_REACTOR_PROT=", ""},
		{"of the tests", "LARS_TEST_CLUSTER=1", ""},
		{"of another program", "LARSEN_PORT=x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, _ := smallSet()
			set.KnowAlso("LARS_DNS_SNAPSHOT")
			err := set.Load(config.Sources{Environ: []string{c.variable}})
			if text := errorText(err); text != c.want {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Kubernetes sets variables for each service of a namespace. For services that are
// named lars-reactor or lars-dns they look like keys of ours, and one is a key.
func TestFinding42ServiceLinksAreIgnored(t *testing.T) {
	set, v := smallSet()
	set.KnowAlso("LARS_DNS_SNAPSHOT")
	err := set.Load(config.Sources{Environ: []string{
		"LARS_REACTOR_PORT=tcp://10.0.0.1:7778",
		"LARS_REACTOR_PORT_7778_TCP=tcp://10.0.0.1:7778",
		"LARS_REACTOR_PORT_7778_TCP_ADDR=10.0.0.1",
		"LARS_REACTOR_PORT_7778_TCP_PORT=7778",
		"LARS_REACTOR_PORT_7778_TCP_PROTO=tcp",
		"LARS_REACTOR_SERVICE_HOST=10.0.0.1",
		"LARS_REACTOR_SERVICE_PORT=7778",
		"LARS_REACTOR_SERVICE_PORT_TCP_ROUTES=7778",
		"LARS_DNS_PORT=udp://10.0.0.1:53",
	}})
	if err != nil || v.Port != 7778 || set.IsSet("reactor", "port") {
		t.Fatalf("got %v and port %d, want the default", err, v.Port)
	}
	if w := set.Warnings(); len(w) != 1 || !strings.Contains(w[0], "9 variables that Kubernetes sets") {
		t.Errorf("warnings are %q, want one line for all", w)
	}
}
