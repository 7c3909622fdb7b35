package main

import (
	"fmt"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target/s3target"
)

// ruleNotes say which rules about earlier dumps have no effect on a target, since
// nobody can list what it holds, or how much room it has. files are the image's. Of
// an SSH server without SFTP only the server tells: kdump-arm check asks it.
func ruleNotes(p *plan.Plan, files map[string][]byte) []string {
	var rules, free []string
	if p.Keep.Dumps > 0 {
		rules = append(rules, "keep")
	}
	if p.Keep.Free > 0 {
		rules, free = append(rules, "keep_free"), []string{"keep_free"}
	}
	if p.LoopGuard != nil {
		rules = append(rules, "loop_guard")
	}
	var notes []string
	none := func(t plan.Target, words []string, why string) {
		if len(words) > 0 {
			notes = append(notes, fmt.Sprintf("target %s: no effect there: %s: %s", t, strings.Join(words, ", "), why))
		}
	}
	for _, t := range p.Targets {
		switch {
		case t.Kind == plan.KindRaw:
			none(t, rules, "a raw device holds what was not recovered yet, and never overwrites it")
		case t.Kind == plan.KindS3 && s3target.IsPresigned(files[t.S3.Credentials]):
			none(t, rules, "presigned URLs cannot list what is there")
		case t.Kind == plan.KindS3:
			none(t, free, "a store does not tell how much room it has")
		}
	}
	return notes
}
