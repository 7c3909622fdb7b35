package rescue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// screen is a terminal's output.
type screen struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// machine notes what the console asks of it.
type machine struct {
	mu    sync.Mutex
	calls []string
	alive time.Duration
}

func (m *machine) commands() Machine {
	note := func(format string, a ...any) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.calls = append(m.calls, fmt.Sprintf(format, a...))
	}
	return Machine{
		Status: func() string { return "step mount failed" },
		Log:    func() []byte { return []byte(strings.Repeat("old\n", maxOutput) + "newest\x1b[m\n") },
		Mount: func(dev, fstype string) (string, error) {
			note("mount %q %q", dev, fstype)
			if dev == "/dev/bad" {
				return "", errors.New("no such device")
			}
			return "/mnt", nil
		},
		Unmount: func() error { note("umount"); panic("driver bug") },
		Alive: func(d time.Duration) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.alive = max(m.alive, d)
		},
	}
}

// talk types lines on a new console and gives how it ended and what it showed.
func talk(t *testing.T, m *machine, lines ...string) (Choice, string) {
	t.Helper()
	r, w := io.Pipe()
	var s screen
	c := New(r, &s, m.commands(), time.Minute)
	c.root = t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(c.root, "proc"), 0o755),
		os.WriteFile(filepath.Join(c.root, "proc/modules"), []byte("virtio_blk 1 0 - Live 0x0\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, l := range lines {
			io.WriteString(w, l+"\n")
		}
		w.CloseWithError(errors.New("unplugged"))
	}()
	return c.Run(t.Context()), s.String()
}

func TestChoices(t *testing.T) {
	for line, want := range map[string]Choice{
		"reboot": Reboot, "poweroff": Poweroff, "halt": Halt, "retry": Retry,
		"  retry  ": Retry, "retrx\x7fy": Retry, "retry\r": Retry, "": Reboot,
	} {
		if got, shown := talk(t, &machine{}, line); got != want {
			t.Errorf("%q: %s\n%s", line, got, shown)
		}
	}
}

func TestCommands(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	fifo := filepath.Join(dir, "sock")
	if err := errors.Join(os.WriteFile(file, append([]byte("text\x1b[2J\n"), make([]byte, maxOutput)...), 0o600), os.Symlink("/dev/null", fifo)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line string
		want []string
	}{
		{"help", []string{"cat FILE [OFFSET]", "do the capture again"}},
		{"status", []string{"step mount failed\n"}},
		{"log", []string{"(only the end)", "newest.[m"}},
		{"ls " + dir, []string{"-rw-------        65545", " file\n"}},
		{"ls " + file, []string{"65545"}},
		{"ls " + dir + "/none", []string{"ls: lstat", "no such file"}},
		{"cat " + file, []string{"text.[2J\n", fmt.Sprintf("(more with: cat %s %d)", file, maxOutput)}},
		{"cat " + file + " 2", []string{"xt.[2J"}},
		{"cat " + file + " -2", []string{"not a number of bytes"}},
		{"cat " + fifo, []string{"not a plain file"}},
		{"cat", []string{"usage: cat FILE"}},
		{"mount", []string{"mounted on /mnt"}},
		{"mount /dev/bad xfs", []string{"mount: no such device"}},
		{"mount /dev/vda", []string{"usage: mount"}},
		{"umount", []string{"umount: panic: driver bug"}},
		{"modules", []string{"virtio_blk 1 0"}},
		{"rm -rf /\x1b", []string{"rm: no such command; there are: status"}},
		{strings.Repeat("x", 5000), []string{"no such command"}},
	} {
		choice, shown := talk(t, &machine{}, tt.line, "poweroff")
		for _, w := range tt.want {
			if !strings.Contains(shown, w) {
				t.Errorf("%.40s: %q is not in\n%.2000s", tt.line, w, shown)
			}
		}
		if choice != Poweroff || strings.Contains(shown, "\x1b") {
			t.Errorf("%.40s: choice %s", tt.line, choice)
		}
	}
}

func TestMachineIsAsked(t *testing.T) {
	m := &machine{}
	talk(t, m, "mount", "mount /dev/vdb xfs", "umount", "reboot")
	if got := strings.Join(m.calls, "; "); got != `mount "" ""; mount "/dev/vdb" "xfs"; umount` {
		t.Errorf("calls: %s", got)
	}
	if m.alive < time.Minute+commandTime {
		t.Errorf("promised to be heard of within %v only", m.alive)
	}
}

func TestNobodyThere(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	var s screen
	c := New(r, &s, (&machine{}).commands(), time.Millisecond)
	if got := c.Run(t.Context()); got != Reboot || !strings.Contains(s.String(), "nobody typed anything for 1ms") {
		t.Errorf("%s\n%s", got, s.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.idle = time.Hour
	if got := c.Run(ctx); got != Reboot || !strings.Contains(s.String(), "context canceled") {
		t.Errorf("%s\n%s", got, s.String())
	}
}

func TestTypingHoldsTheReboot(t *testing.T) {
	r, w := io.Pipe()
	var s screen
	c := New(r, &s, (&machine{}).commands(), 10*time.Second)
	go func() {
		for range 20 {
			time.Sleep(time.Millisecond)
			io.WriteString(w, "status\n")
		}
		io.WriteString(w, "halt\n")
	}()
	if got := c.Run(t.Context()); got != Halt || strings.Count(s.String(), "step mount failed") != 20 {
		t.Errorf("%s\n%s", got, s.String())
	}
}

func TestRunAgain(t *testing.T) {
	r, w := io.Pipe()
	var s screen
	c := New(r, &s, (&machine{}).commands(), time.Minute)
	go io.WriteString(w, "retry\npoweroff\n")
	if a, b := c.Run(t.Context()), c.Run(t.Context()); a != Retry || b != Poweroff {
		t.Errorf("%s, then %s", a, b)
	}
}

// dead is a terminal that only ever ends.
type dead struct{ reads int }

func (d *dead) Read([]byte) (int, error) { d.reads++; return 0, io.EOF }

func TestDeadTerminal(t *testing.T) {
	d := &dead{}
	var s screen
	if got := New(d, &s, (&machine{}).commands(), time.Minute).Run(t.Context()); got != Reboot || d.reads != maxEOF {
		t.Errorf("%s after %d reads", got, d.reads)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("status\nmount /dev/vda ext4\n")
	f.Add("\x7f\x7f\b\r\n\x00")
	f.Fuzz(func(t *testing.T, in string) {
		for l := range readLines(io.MultiReader(strings.NewReader(in), broken{})) {
			if len(l) > maxLine || strings.ContainsAny(l, "\r\n") {
				t.Fatalf("line %q", l)
			}
		}
	})
}

// broken ends a terminal at once, not after a pause.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("gone") }
