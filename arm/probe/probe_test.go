package probe

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
	"github.com/gokdump/gokdump/capture/target/targettest/sshd"
)

func port(t *testing.T, addr string) int {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestTargets(t *testing.T) {
	s, cat, changed := sshd.Start(t, sshd.Options{}), sshd.Start(t, sshd.Options{NoSFTP: true}), sshd.Start(t, sshd.Options{})
	changed.ChangeHostKey()
	store := s3d.Start(t, true)
	ssh := func(s *sshd.Server, known string) plan.Target {
		return plan.Target{Kind: plan.KindSSH, Path: t.TempDir(), SSH: &plan.SSH{Host: "127.0.0.1", Port: port(t, s.Addr), User: s.User, Key: known + "-key", KnownHosts: known}}
	}
	s3 := func(keys string) plan.Target {
		return plan.Target{Kind: plan.KindS3, Path: "probe", S3: &plan.S3{Endpoint: store.Endpoint, Region: "us-east-1", Bucket: s3d.Bucket, PathStyle: true, Credentials: keys, CA: "ca"}}
	}
	files := map[string][]byte{
		"s": s.KnownHosts, "s-key": s.Key, "cat": cat.KnownHosts, "cat-key": cat.Key, "changed": changed.KnownHosts, "changed-key": changed.Key,
		"keys": []byte("[default]\naws_access_key_id = " + s3d.AccessKey + "\naws_secret_access_key = " + s3d.SecretKey + "\n"),
		"bad":  []byte("[default]\naws_access_key_id = " + s3d.AccessKey + "\naws_secret_access_key = x\n"),
		"ca":   store.CA,
	}
	nowhere := closed(t)
	for _, tt := range []struct {
		name             string
		target           plan.Target
		err, says, warns string
		free             bool
	}{
		{"ssh", ssh(s, "s"), "", "logged in", "", true},
		{"ssh without SFTP", ssh(cat, "cat"), "", "no SFTP", "keep, keep_free and loop_guard have no effect", true},
		{"another host key", ssh(changed, "changed"), "CHANGED", "", "", false},
		{"another key", plan.Target{Kind: plan.KindSSH, Path: "/x", SSH: &plan.SSH{Host: "127.0.0.1", Port: port(t, s.Addr), User: s.User, Key: "cat-key", KnownHosts: "s"}}, "authorized_keys", "", "", false},
		{"no such file", plan.Target{Kind: plan.KindSSH, Path: "/x", SSH: &plan.SSH{Host: "127.0.0.1", Port: 22, User: "u", Key: "k", KnownHosts: "s"}}, "has no file k", "", "", false},
		{"s3", s3("keys"), "", "made, copied and removed", "", false},
		{"s3, bad key", s3("bad"), "check the credentials", "", "", false},
		{"nfs", plan.Target{Kind: plan.KindNFS, Path: "/", Options: "port=" + strconv.Itoa(port(t, s.Addr)), NFS: &plan.NFS{Host: "store.invalid", Addresses: []string{"127.0.0.1"}, Export: "/"}}, "", "answers", "", false},
		{"nfs, nobody there", plan.Target{Kind: plan.KindNFS, Path: "/", Options: "port=" + strconv.Itoa(port(t, nowhere)), NFS: &plan.NFS{Host: "127.0.0.1", Export: "/"}}, "refused", "", "", false},
		{"no such disk", plan.Target{Kind: plan.KindFS, FSType: "ext4", Path: "/", Device: plan.Device{By: plan.ByUUID, Value: "00000000-1111-2222-3333-444444444444"}}, "00000000", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &plan.Plan{Targets: []plan.Target{tt.target}, Keep: plan.Keep{Dumps: 2}}
			all := Targets(t.Context(), p, files)
			if len(all) != 1 {
				t.Fatalf("%d results", len(all))
			}
			r := all[0]
			warns := strings.Join(r.Warnings, " ")
			if (r.Error != "") != (tt.err != "") || !strings.Contains(r.Error, tt.err) || !strings.Contains(r.Says, tt.says) ||
				(warns != "") != (tt.warns != "") || !strings.Contains(warns, tt.warns) || (r.Free > 0) != tt.free || r.Target == "" {
				t.Errorf("%+v; want error %q, %q, warnings %q", r, tt.err, tt.says, tt.warns)
			}
		})
	}
}

// A server that takes connections and says nothing, and the one for reports.
func TestTargetsEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := sshd.Start(t, sshd.Options{})
	p := &plan.Plan{
		Targets: []plan.Target{{Kind: plan.KindSSH, Path: "/x", SSH: &plan.SSH{Host: "127.0.0.1", Port: port(t, l.Addr().String()), User: "u", Key: "key", KnownHosts: "known"}}},
		Notify:  &plan.Notify{URL: "http://" + closed(t) + "/secret"},
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	all := Targets(ctx, p, map[string][]byte{"key": s.Key, "known": s.KnownHostsAt(l.Addr().String())})
	if len(all) != 2 || all[0].Error == "" || !strings.Contains(all[1].Error, "refused") || strings.Contains(all[1].Target+all[1].Error, "secret") {
		t.Errorf("%+v", all)
	}
}
