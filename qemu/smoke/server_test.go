//go:build vm

package smoke

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
	"github.com/gokdump/gokdump/capture/target/targettest/sshd"
	"github.com/gokdump/gokdump/qemu/lab"
)

// atGateway is the address at which a guest on QEMU's user network sees a server of
// the host's loopback interface.
const atGateway = "10.0.2.2"

const onUserNetwork = "network dhcp on " + nicA + "\n"

// leftIn is the one dump in a directory of the host.
func leftIn(t *testing.T, dir string, o *lab.Outcome) lab.Left {
	t.Helper()
	all, err := lab.LeftIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Report == nil {
		t.Fatalf("%d directories in %s, want 1 with a report; console: %s", len(all), dir, o.Log)
	}
	return all[0]
}

// The dump goes over SSH to a real OpenSSH server.
func TestSSH(t *testing.T) {
	s := sshd.Start(t, sshd.Options{})
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	dumps := filepath.Join(t.TempDir(), "dumps")
	story := lab.Story{
		Config: "ssh " + s.User + "@" + atGateway + "\nssh_port " + port + "\nsshkey /key\nssh_known_hosts /hosts\npath " + dumps + "\nhost smoke\n" + onUserNetwork,
		Files:  map[string][]byte{"/key": s.Key, "/hosts": s.KnownHostsAt(net.JoinHostPort(atGateway, port))},
		Extra:  nic("a", nicA), Unmounted: true,
	}
	t.Run("whole", func(t *testing.T) {
		o := crash(t, story)
		l := leftIn(t, dumps, o)
		whole(t, l)
		opensInDrgn(t, o, l.Path(capture.DumpName))
	})
	t.Run("host-key-changed", func(t *testing.T) {
		if !allTargets() {
			t.Skip("make test-targets has this too")
		}
		s.ChangeHostKey()
		story.Config += "timeout mount 20s\next4 UUID=" + lab.DiskUUID + "\npath " + lab.CrashDir + "\n"
		o := crash(t, story)
		l := left(t, o)
		if l.Report.Result != capture.Complete || !strings.Contains(strings.Join(l.Report.Warnings, " "), "host key") {
			t.Errorf("the second target's report: %s, warnings %q; want complete, and a word about the host key", l.Report.Result, l.Report.Warnings)
		}
		if all, err := lab.LeftIn(dumps); err != nil || len(all) != 1 {
			t.Errorf("%d directories on a server that is not the one that is known, %v", len(all), err)
		}
	})
}

// The dump goes to a real S3 server, over TLS with the certificate that is baked in.
func TestS3(t *testing.T) {
	if !allTargets() {
		t.Skip("make test-targets has this")
	}
	s := s3d.Start(t, true)
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	o := crash(t, lab.Story{
		Config: "s3 https://" + net.JoinHostPort(atGateway, port) + "/" + s3d.Bucket + "/of/smoke\ns3_credentials /keys\ns3_ca /ca\nhost smoke\n" + onUserNetwork,
		Files: map[string][]byte{
			"/keys": []byte("[default]\naws_access_key_id = " + s3d.AccessKey + "\naws_secret_access_key = " + s3d.SecretKey + "\n"),
			"/ca":   s.CA,
		},
		Extra: nic("a", nicA), Unmounted: true, Reserve: "256M",
	})
	l := leftIn(t, filepath.Join(s.Objects, "of", "smoke"), o)
	logSaved(t, l)
	if l.Report.Result != capture.Complete {
		t.Errorf("report: %s, %s", l.Report.Result, l.Report.Error)
	}
	opensInDrgn(t, o, l.Path(capture.DumpName))
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d uploads were left unfinished", n)
	}
}
