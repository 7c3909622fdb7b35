//go:build vm

package smoke

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
	"github.com/gokdump/gokdump/capture/target/targettest/sshd"
	"github.com/gokdump/gokdump/qemu/lab"
)

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
	o := crash(t, lab.Story{
		Config: lab.SSHConfig(s.User, port, dumps) + lab.OnUserNetwork,
		Files:  lab.SSHFiles(s.Key, s.KnownHostsAt(net.JoinHostPort(lab.AtGateway, port))),
		Extra:  lab.UserNIC("a", lab.NICA), Unmounted: true,
	})
	l := leftIn(t, dumps, o)
	whole(t, l)
	opensInDrgn(t, o, l.Path(capture.DumpName))
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
		Config: lab.S3Config("https", port, s3d.Bucket+"/of/smoke") + "s3_ca /ca\n" + lab.OnUserNetwork,
		Files:  lab.S3Files(s3d.AccessKey, s3d.SecretKey, s.CA),
		Extra:  lab.UserNIC("a", lab.NICA), Unmounted: true, Reserve: "256M",
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
