package nfs

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"golang.org/x/sys/unix"
)

func TestCalls(t *testing.T) {
	for _, tt := range []struct {
		name, version, at, options string
		want                       []Call
	}{
		{"v4", "4.1", "192.0.2.1", "", []Call{{"192.0.2.1:/e", "nfs4", "addr=192.0.2.1,vers=4.1,proto=tcp,soft,timeo=150,retrans=2,sec=sys", "4.1"}}},
		{"v3 with ports", "3", "192.0.2.1", "port=12049,mountport=9,timeo=30,nolock,wsize=65536", []Call{{"192.0.2.1:/e", "nfs",
			"addr=192.0.2.1,vers=3,proto=tcp,soft,retrans=2,sec=sys,nolock,mountproto=tcp,mountvers=3,mountaddr=192.0.2.1,port=12049,mountport=9,timeo=30,wsize=65536", "3"}}},
		{"v4 leaves mountport out", "4.2", "192.0.2.1", "mountport=9", []Call{{"192.0.2.1:/e", "nfs4", "addr=192.0.2.1,vers=4.2,proto=tcp,soft,timeo=150,retrans=2,sec=sys", "4.2"}}},
		{"v6", "3", "2001:db8::1", "", []Call{{"[2001:db8::1]:/e", "nfs",
			"addr=2001:db8::1,vers=3,proto=tcp6,soft,timeo=150,retrans=2,sec=sys,nolock,mountproto=tcp6,mountvers=3,mountaddr=2001:db8::1", "3"}}},
	} {
		got, err := Calls(plan.NFS{Host: "h", Export: "/e", Version: tt.version}, netip.MustParseAddr(tt.at), tt.options)
		if err != nil || len(got) != 1 || got[0] != tt.want[0] {
			t.Errorf("%s: %+v, %v\nwant %+v", tt.name, got, err, tt.want)
		}
	}
	all, err := Calls(plan.NFS{Host: "h", Export: "/e", Version: plan.NFSAuto}, netip.MustParseAddr("192.0.2.1"), "")
	if err != nil || len(all) != 4 || all[0].Version != "4.2" || all[3].Version != "3" {
		t.Errorf("auto: %+v, %v", all, err)
	}
}

func TestOptions(t *testing.T) {
	for options, want := range map[string]string{
		"": "", "rsize=1,wsize=2": "", "port=1": "", "nolock,sec=sys": "",
		"hard": "must be soft", "addr=1.2.3.4": "follows from", "vers=3": "nfs_version", "minorversion=1": "nfs_version",
		"ro": "means nothing", "sec=krb5": "Kerberos", "timeo=0": "1 to 600", "retrans=x": "1 to 600", "port=65536": "a port",
		"a b": "without spaces", strings.Repeat("x", 1001): "at most 1000",
	} {
		err := CheckOptions(options)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v, want %q", options, err, want)
		}
	}
	for options, want := range map[string]int{"": 2049, "timeo=1,port=12049": 12049, "port=0": 2049, "mountport=7": 2049} {
		if got := PortOf(options); got != want {
			t.Errorf("%q: port %d, want %d", options, got, want)
		}
	}
}

func TestErrnos(t *testing.T) {
	wrapped := func(e unix.Errno) error { return errors.Join(errors.New("mount"), e) }
	if !strings.Contains(Hint(wrapped(unix.EACCES)), "exports") || Hint(errors.New("x")) != "" {
		t.Error("hints")
	}
	if !Transient(wrapped(unix.ECONNREFUSED)) || Transient(wrapped(unix.EACCES)) {
		t.Error("transient")
	}
	if !OtherVersion(wrapped(unix.EPROTONOSUPPORT)) || OtherVersion(wrapped(unix.ECONNREFUSED)) {
		t.Error("other version")
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("port=1,timeo=5,hard")
	f.Fuzz(func(t *testing.T, options string) {
		if CheckOptions(options) != nil {
			return
		}
		calls, err := Calls(plan.NFS{Host: "h", Export: "/e", Version: "4.2"}, netip.MustParseAddr("192.0.2.1"), options)
		if err != nil {
			t.Fatal(err)
		}
		soft, addr := 0, 0
		for _, o := range strings.Split(calls[0].Data, ",") {
			switch {
			case o == "soft":
				soft++
			case strings.HasPrefix(o, "addr="):
				addr++
			case o == "hard":
				t.Errorf("%q", calls[0].Data)
			}
		}
		if soft != 1 || addr != 1 {
			t.Errorf("%q", calls[0].Data)
		}
	})
}

func TestPatience(t *testing.T) {
	for options, want := range map[string]time.Duration{
		"": 45 * time.Second, "port=1,timeo=100": 30 * time.Second, "timeo=5,retrans=3": 2 * time.Second, "timeo=x": 45 * time.Second,
	} {
		if got := Patience(options); got != want {
			t.Errorf("%q: %v, want %v", options, got, want)
		}
	}
}
