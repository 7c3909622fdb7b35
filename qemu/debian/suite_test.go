package debian

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSourcesOf(t *testing.T) {
	const lines = "Debian|main|bookworm|http://a.example/debian\n" +
		"Debian|main|bookworm-security|http://b.example/security\n" +
		"Other|main|stable|http://c.example/\n"
	got, err := sourcesOf(lines, []string{"bullseye", "bullseye-security", "bullseye-backports"})
	if err != nil {
		t.Fatal(err)
	}
	want := "deb [signed-by=" + keyring + "] http://a.example/debian bullseye main\n" +
		"deb [signed-by=" + keyring + "] http://b.example/security bullseye-security main\n" +
		"deb [signed-by=" + keyring + "] http://a.example/debian bullseye-backports main\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got, err = sourcesOf(lines[:strings.Index(lines, "\n")+1], []string{"sid", "sid-security"}); err != nil || strings.Count(got, "\n") != 1 {
		t.Errorf("without a security archive: %q, %v", got, err)
	}
	if _, err = sourcesOf("Other|main|stable|http://c.example/\n", []string{"sid"}); err == nil {
		t.Error("took a stranger's archive for Debian's")
	}
}

func TestReleasesIn(t *testing.T) {
	const names = "linux-image-5.10.0-9-cloud-amd64 linux-image-5.10.0-9-cloud-amd64-dbg " +
		"linux-image-5.10.0-43-cloud-amd64 linux-image-5.10.0-43-cloud-amd64-dbg " +
		"linux-image-5.10.0-44-cloud-amd64 linux-image-5.10.0-50-cloud-amd64-dbg " +
		"linux-image-5.10-cloud-amd64 linux-image-5.10-cloud-amd64-dbg linux-image-5.10.0-43-rt-amd64 linux-image-5.10.0-43-rt-amd64-dbg"
	with, without := releasesIn(names, "cloud-amd64")
	if !slices.Equal(with, []string{"5.10.0-43-cloud-amd64", "5.10.0-9-cloud-amd64"}) || !slices.Equal(without, []string{"5.10.0-44-cloud-amd64"}) {
		t.Errorf("%q, %q", with, without)
	}
}

// What was passed over is said, with the package that the archive lacks.
func TestGoneNamesThePackage(t *testing.T) {
	err := fmt.Errorf("debian: download: %w", errors.Join(ErrGone, errors.New("apt-get: exit status 100: E: Failed to fetch "+
		"http://a.example/pool/linux-image-5.10.0-46-cloud-amd64-dbg_5.10.259-1_amd64.deb  404  Not Found [IP: 1]")))
	if got := over([]string{"5.10.0-46 (" + gone(err) + ")"}); got != "; passed over: 5.10.0-46 (linux-image-5.10.0-46-cloud-amd64-dbg is listed, but the archive does not have it: 404)" {
		t.Errorf("%q", got)
	}
	if got := over(nil) + gone(ErrNoPackage); got != ErrNoPackage.Error() {
		t.Errorf("%q", got)
	}
}

func TestGone(t *testing.T) {
	for text, want := range map[string]bool{
		"x: exit status 100: E: Failed to fetch http://a.example/x.deb  404  Not Found [IP: 1]":   true,
		"x: exit status 100:\nE: Failed to fetch http://a.example/x.deb  404  Not Found [IP: 1]":  true,
		"x:\nE: Failed to fetch http://a.example/linux-404_1.deb  Could not connect to a.example": false,
	} {
		if got := notFound.MatchString(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
