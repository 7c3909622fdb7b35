package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/s3target"
	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
)

// What the command writes is good for the files of one crash, and for no others.
func TestPresign(t *testing.T) {
	s := s3d.Start(t, true)
	dir := t.TempDir()
	keys, ca, out := filepath.Join(dir, "keys"), filepath.Join(dir, "ca"), filepath.Join(dir, "urls")
	for path, text := range map[string]string{
		keys: "[fleet]\naws_access_key_id = " + s3d.AccessKey + "\naws_secret_access_key = " + s3d.SecretKey + "\n", ca: string(s.CA),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	where := s.Endpoint + "/" + s3d.Bucket + "/db1"
	var stdout, stderr bytes.Buffer
	args := []string{"presign", "-o", out, "--credentials", keys, "--profile", "fleet", "--ca", ca, "--size", "100M", "--valid", "2h", "--encrypted", where}
	if code := run(t.Context(), args, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	if got := stdout.String(); !strings.Contains(got, out+": one crash below "+where+", a dump of up to 100M, until 20") {
		t.Errorf("it says %q", got)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(out); err != nil || st.Mode().Perm() != 0o600 || bytes.Contains(text, []byte(s3d.SecretKey)) {
		t.Errorf("%v, %v; or the key is in it", st.Mode(), err)
	}
	set, err := s3target.ParsePresigned(text)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(set.Expires()); left > 2*time.Hour || left < time.Hour || len(set.Objects["vmcore.age"].Parts) != 20 {
		t.Errorf("good for %v, %d parts", left, len(set.Objects["vmcore.age"].Parts))
	}
	tg, err := s3target.New(t.Context(), s3target.Config{Presigned: set, CA: s.CA})
	if err != nil {
		t.Fatal(err)
	}
	defer tg.Close()
	if err := target.Write(tg, "vmcore-dmesg.txt.age", []byte("log")); err != nil {
		t.Error(err)
	}
	if err := target.Write(tg, "vmcore-dmesg.txt", []byte("log")); err == nil {
		t.Error("an object of which there is no URL was made")
	}
	if got, err := os.ReadFile(filepath.Join(s.Objects, "db1", "vmcore-dmesg.txt.age")); err != nil || string(got) != "log" {
		t.Errorf("%q, %v", got, err)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no place":   {[]string{"-o", out}, "want presign"},
		"no bucket":  {[]string{"-o", out, "--credentials", keys, "--profile", "fleet", s.Endpoint}, "bucket"},
		"too large":  {[]string{"-o", out, "--credentials", keys, "--profile", "fleet", "--ca", ca, "--size", "6G", where}, "at most"},
		"too long":   {[]string{"-o", out, "--credentials", keys, "--profile", "fleet", "--ca", ca, "--valid", "200h", where}, "at most"},
		"no key":     {[]string{"-o", out, "--credentials", keys, where}, "no profile [default]"},
		"absent key": {[]string{"-o", out, "--credentials", out + "x", where}, "--credentials"},
	} {
		stderr.Reset()
		if code := run(t.Context(), append([]string{"presign"}, tt.args...), &stdout, &stderr); code == exitOK || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%s: exit %d, %s; want %q", name, code, &stderr, tt.want)
		}
	}
}
