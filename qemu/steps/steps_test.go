package steps

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := &Log{w: &out, start: time.Now()}
		err := l.Do("bake", func(note *Step) error {
			fmt.Fprintf(note, "mixing\nheat")
			time.Sleep(3 * time.Second)
			fmt.Fprintf(note, "ing %s\n", strings.Repeat("x", 100))
			note.Say("in the %s", "oven")
			time.Sleep(2 * time.Second)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(out.String(), "\n")
		want := []string{"==> bake", "      2 s  mixing", "    in the oven", "      4 s  heating xxx", "    done in 5.0 s", ""}
		if len(lines) != len(want) {
			t.Fatalf("got %q", lines)
		}
		for i := range want {
			if !strings.HasPrefix(lines[i], want[i]) || len(lines[i]) > width {
				t.Errorf("line %d: %q, want %q", i, lines[i], want[i])
			}
		}
		if l.Elapsed() != 5*time.Second {
			t.Errorf("elapsed %v", l.Elapsed())
		}
	})
}

func TestDoFails(t *testing.T) {
	var out bytes.Buffer
	burnt := errors.New("burnt")
	err := (&Log{w: &out, tty: true}).Do("bake", func(*Step) error { return burnt })
	if !errors.Is(err, burnt) || err.Error() != "bake: burnt" {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out.String(), "failed after") {
		t.Errorf("shown: %q", out.String())
	}
}
