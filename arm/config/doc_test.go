package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The manual knows all words, and the documentation's examples no others.
func TestDocumentation(t *testing.T) {
	man, err := os.ReadFile("../../scripts/man/kdump.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	known := words()
	text := strings.ReplaceAll(string(man), `\-`, "-")
	for word := range known {
		if !regexp.MustCompile(`(?m)^\.(B|BI|BR|RB)\b.*\b` + word + `\b`).MatchString(text) {
			t.Errorf("kdump.conf.5 lacks %s", word)
		}
	}
	doc, err := os.ReadFile("../../docs/targets.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for line := range strings.Lines(string(doc)) {
		example, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		examples++
		word := strings.Fields(example)[0]
		if _, ok := known[word]; !ok {
			t.Errorf("docs/targets.md: %s is no word of kdump.conf", word)
		}
	}
	if examples == 0 {
		t.Error("docs/targets.md has no example")
	}
}
