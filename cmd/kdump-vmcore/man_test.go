package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The manual page names every command and every flag that the usage texts name,
// and no other.
func TestManualPage(t *testing.T) {
	b, err := os.ReadFile("../../scripts/man/kdump-vmcore.8")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(b), `\-`, "-")
	flags := regexp.MustCompile(`(?:^|[\s\[,(])(-[a-zA-Z]\b|--[a-z][a-z_-]+)`)
	known := map[string]bool{"--memory-only": true, "-ex": true, "-o": true} // of other programs
	for _, text := range []string{usage, dumpUsage, convertUsage, splitUsage, reassembleUsage, infoUsage, dmesgUsage, verifyUsage, decryptUsage, faceUsage} {
		for _, m := range flags.FindAllStringSubmatch(text, -1) {
			known[m[1]] = true
			if !regexp.MustCompile(regexp.QuoteMeta(m[1]) + `\b`).MatchString(page) {
				t.Errorf("the manual page lacks %s", m[1])
			}
		}
	}
	for i := range faceTable {
		known[faceTable[i].Name()] = true
	}
	for _, m := range flags.FindAllStringSubmatch(page, -1) {
		if !known[m[1]] {
			t.Errorf("the manual page has %s, which no usage text has", m[1])
		}
	}
	for c := range commands {
		if !strings.Contains(page, "\n.B "+c+"\n") {
			t.Errorf("the manual page lacks the command %s", c)
		}
	}
}
