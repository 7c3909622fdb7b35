package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// What a machine of any size may cost, in bytes of memory of its own: so much, and so
// much for each TiB.
const (
	budgetBase   = 16 << 20
	budgetPerTiB = 32 << 20
)

// The filter and the dump stay within their budget of memory, far within it where
// memory is all alike.
func TestScaleBudget(t *testing.T) {
	dir := t.TempDir()
	prog := filepath.Join(dir, "kdump-vmcore")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", prog, "../../cmd/kdump-vmcore").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out := filepath.Join(dir, "out")
	for _, tt := range []struct {
		gib    uint64
		varied bool
		most   int64
		out    string
		args   []string
	}{
		{1024, false, budgetBase, "", []string{"dump", "--dry-run"}},
		{256, true, budgetBase + budgetPerTiB/4, "", []string{"dump", "--dry-run"}},
		{64, true, budgetBase + budgetPerTiB/16, out, []string{"dump", "-f", "-c", "lzo"}},
	} {
		core := filepath.Join(dir, "core")
		if err := writeSparse(core, tt.gib<<30, tt.varied); err != nil {
			t.Fatal(err)
		}
		argv := append(append([]string{prog}, tt.args...), "--workers", "2", core)
		if tt.out != "" {
			argv = append(argv, tt.out)
		}
		s, err := run(t.Context(), tt.out, argv...)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d GiB, %v: %d bytes of %d", tt.gib, tt.args, s.Private, tt.most)
		if s.Private == 0 || s.Private > tt.most {
			t.Errorf("%d GiB, varied %v, %v: %d bytes of memory, the budget is %d", tt.gib, tt.varied, tt.args, s.Private, tt.most)
		}
	}
}
