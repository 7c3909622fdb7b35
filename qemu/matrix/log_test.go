package matrix

import "testing"

// One message in the layouts of all readers.
func TestLogLayouts(t *testing.T) {
	records := []record{
		{NS: 1_500_000_999, Text: "plain"},
		{NS: 12_000_001_000, Text: "two lines,\n\twith \u00c3\u00a4, \u00ff and \u001b"},
	}
	const (
		ours         = "[    1.500000] plain\n[   12.000001] two lines,\n               \twith \xc3\xa4, \\xff and \\x1b\n"
		crash        = "[    1.500000] plain\n[   12.000001] two lines,\n               \twith .., . and .\n"
		drgn         = "[    1.500000] plain\n[   12.000001] two lines,\n\twith \u00c3\u00a4, \u00ff and \u001b\n"
		makedumpfile = "[    1.500000] [      T0] plain\n[   12.000001] [      C1] two lines,\n" +
			"                          \twith \\xffffffc3\\xffffffa4, \\xffffffff and \\x1b\n"
	)
	for name, tt := range map[string]struct{ got, want string }{
		"ours":         {layOut(records, harmless), ours},
		"crash":        {layOut(records, dotted), crash},
		"drgn":         {rawLayout(records), drgn},
		"makedumpfile": {ownBytes(noCallers(makedumpfile)), ours},
		// What is no column of callers stays.
		"a message that looks like one": {noCallers("[    1.500000] [drm] x\n   y\n"), "[    1.500000] [drm] x\n   y\n"},
		"indented by less":              {noCallers("[    1.500000] [    T1] x\n   y\n"), "[    1.500000] x\n   y\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}
}
