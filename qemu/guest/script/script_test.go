package script

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoundTrip(t *testing.T) {
	s := &Script{
		Modules: []string{"/modules/a.ko"},
		Steps: []Step{
			{Mount: &Mount{Device: "/dev/vda", FSType: "ext4", Dir: "/target"}},
			{EndIfAny: "/target/crash"},
			{Fill: &Fill{Workers: 2, AnonMiB: 1}},
			{Run: []string{"/bin/x", "y"}},
			{Carry: &Carry{From: "/target/crash", To: Mount{Device: "/dev/vdb", FSType: "ext4", Dir: "/carry"}}},
			{Tasks: true}, {List: "/"}, {Idle: true}, {Panic: &Panic{CPU: 1}},
		},
	}
	b, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, got); d != "" {
		t.Error(d)
	}
}

func TestRefused(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":        `steps`,
		"no steps":        `{}`,
		"empty step":      `{"steps":[{}]}`,
		"two in one step": `{"steps":[{"idle":true,"tasks":true}]}`,
		"no program":      `{"steps":[{"run":[]}]}`,
		"empty program":   `{"steps":[{"run":[""]}]}`,
	} {
		if s, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: accepted as %+v", name, s)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"steps":[{"panic":{"cpu":1}}]}`))
	f.Add([]byte(`{"modules":["a"],"steps":[{"run":["x"]},{"fill":{"workers":3}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		if _, err := s.Marshal(); err != nil {
			t.Errorf("read, but cannot be written: %v", err)
		}
	})
}
