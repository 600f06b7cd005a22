package sim

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed scenarios/*.txt
var shipped embed.FS

// Shipped returns the names of the scenarios that come with the package.
func Shipped() []string {
	files, _ := shipped.ReadDir("scenarios")
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f.Name(), ".txt")
	}
	return names
}

// ShippedText returns the text of a scenario that comes with the package.
func ShippedText(name string) (string, error) {
	text, err := shipped.ReadFile("scenarios/" + name + ".txt")
	if err != nil {
		return "", fmt.Errorf("sim: scenario %q: want one of: %s", name, strings.Join(Shipped(), ", "))
	}
	return string(text), nil
}
