package main

import (
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/plan"
)

func TestRuleNotes(t *testing.T) {
	disk := plan.Target{Kind: plan.KindFS, FSType: "ext4"}
	raw := plan.Target{Kind: plan.KindRaw, Device: plan.Device{By: plan.ByPartUUID, Value: "x"}}
	ssh := plan.Target{Kind: plan.KindSSH, SSH: &plan.SSH{Host: "h", User: "u"}}
	store := plan.Target{Kind: plan.KindS3, S3: &plan.S3{Endpoint: "https://h", Bucket: "b", Credentials: "keys"}}
	all := plan.Plan{Keep: plan.Keep{Dumps: 3, Free: 1}, LoopGuard: &plan.LoopGuard{Dumps: 3, Within: 1}}
	for _, tt := range []struct {
		name    string
		targets []plan.Target
		rules   plan.Plan
		keys    string
		want    string // the notes, shortened
	}{
		{"all is well", []plan.Target{disk, ssh}, all, "", ""},
		{"raw", []plan.Target{disk, raw}, all, "", "keep, keep_free, loop_guard: a raw"},
		{"no rule", []plan.Target{raw}, plan.Plan{}, "", ""},
		{"store", []plan.Target{store}, all, "[default]\n", "keep_free: a store"},
		{"presigned", []plan.Target{store}, all, "\n{}", "keep, keep_free, loop_guard: presigned"},
	} {
		p := tt.rules
		p.Targets = tt.targets
		notes := ruleNotes(&p, map[string][]byte{"keys": []byte(tt.keys)})
		got := strings.Join(notes, "\n")
		if (len(notes) > 0) != (tt.want != "") || len(notes) > 1 || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, notes, tt.want)
		}
	}
}
