//go:build vm

package smoke

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/past"
	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
	"github.com/gokdump/gokdump/capture/target/targettest/sshd"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/nfsd"
)

// keyPair gives the line of kdump.conf for a new key, and the file of its private half.
func keyPair(t *testing.T) (line, file string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "recipient " + id.Recipient().String() + "\n", file
}

// decrypts checks that a whole dump is there in encrypted form only, decrypts it as its
// reader does, and opens it.
func decrypts(t *testing.T, machine *lab.Lab, o *lab.Outcome, l lab.Left, key string) {
	t.Helper()
	for _, name := range []string{capture.DumpName, capture.LogName} {
		if !slices.Contains(l.Names(), name+capture.EncryptedSuffix) || slices.Contains(l.Names(), name) {
			t.Errorf("files %q: want %s encrypted only", l.Names(), name)
		}
	}
	if !l.Report.Encrypted {
		t.Error("the report does not say that the dump is encrypted")
	}
	if out, code := command(t, "kdump-vmcore", "decrypt", "-i", key, l.Dir); code != 0 {
		t.Fatalf("decrypt: exit %d\n%s", code, out)
	}
	opensAt(t, machine, o, l)
}

// Encrypted dumps on all kinds of targets that are no file systems of this machine. The
// one on a disk is in [TestEncryptedAndAgain].
func TestEncryptedTargets(t *testing.T) {
	if !allTargets() {
		t.Skip("make test-targets has this")
	}
	line, key := keyPair(t)
	t.Run("raw", func(t *testing.T) {
		o, err := shared.RunHost(t.Context(), dir(t), lab.Host{
			Disks:  onDisk(qemu.VirtioSCSI),
			Setup:  "udevadm settle\n",
			Config: "raw /dev/sda\n" + line,
			Fetch:  "kdump-arm recover; cp -a /var/crash/. /carry/\n",
		})
		if err != nil {
			t.Fatal(err)
		}
		decrypts(t, shared, o, left(t, o), key)
	})
	t.Run("nfs", func(t *testing.T) {
		s := nfsServer(t, nfsd.Options{})
		o := crash(t, lab.Story{
			Config: lab.NFSConfig(lab.AtGateway, "4.2", s.Port, s.MountPort) + line + lab.OnUserNetwork,
			Extra:  lab.UserNIC("a", lab.NICA), Unmounted: true, Reserve: "256M",
		})
		decrypts(t, shared, o, onServer(t, s, o), key)
	})
	for name, opt := range map[string]sshd.Options{"sftp": {}, "cat": {NoSFTP: true}} {
		t.Run(name, func(t *testing.T) {
			s := sshd.Start(t, opt)
			o, dumps := crashToSSH(t, s, line)
			l := leftIn(t, dumps, o)
			if opt.NoSFTP {
				flattened(t, l, key)
				opensInDrgn(t, o, l.Path(capture.DumpName))
				return
			}
			decrypts(t, shared, o, l, key)
		})
	}
	t.Run("s3", func(t *testing.T) {
		s := s3d.Start(t, true)
		_, port, err := net.SplitHostPort(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		o := crash(t, lab.Story{
			Config: lab.S3Config("https", port, s3d.Bucket+"/of/smoke") + "s3_ca /ca\n" + line + lab.OnUserNetwork,
			Files:  lab.S3Files(s3d.AccessKey, s3d.SecretKey, s.CA),
			Extra:  lab.UserNIC("a", lab.NICA), Unmounted: true, Reserve: "256M",
		})
		decrypts(t, shared, o, leftIn(t, filepath.Join(s.Objects, "of", "smoke"), o), key)
		if n := s.Uploads(); n != 0 {
			t.Errorf("%d uploads were left unfinished", n)
		}
	})
}

// crashToSSH crashes a machine whose target is a directory of s, which it gives.
func crashToSSH(t *testing.T, s *sshd.Server, lines string) (*lab.Outcome, string) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	dumps := filepath.Join(t.TempDir(), "dumps")
	return crash(t, lab.Story{
		Config: lab.SSHConfig(s.User, port, dumps) + lines + lab.OnUserNetwork,
		Files:  lab.SSHFiles(s.Key, s.KnownHostsAt(net.JoinHostPort(lab.AtGateway, port))),
		Extra:  lab.UserNIC("a", lab.NICA), Unmounted: true, Reserve: "256M",
	}), dumps
}

// flattened makes a dump of an encrypted stream, by the commands of README.txt.
func flattened(t *testing.T, l lab.Left, key string) {
	t.Helper()
	if out, code := command(t, "kdump-vmcore", "decrypt", "-i", key, l.Dir); code != 0 {
		t.Fatalf("decrypt: exit %d\n%s", code, out)
	}
	stream, err := os.Open(l.Path(capture.FlatName))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	cmd := exec.CommandContext(t.Context(), shared.Command("kdump-vmcore"), "convert", "-R", l.Path(capture.DumpName))
	cmd.Stdin = stream
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("convert: %v\n%s", err, out)
	}
}

// hook is a web server that takes reports; it says no to the first one.
type hook struct {
	mu      sync.Mutex
	calls   int
	reports []capture.Report
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls++; h.calls == 1 {
		http.Error(w, "come again", http.StatusServiceUnavailable)
		return
	}
	var rep capture.Report
	if body, err := io.ReadAll(r.Body); err == nil && json.Unmarshal(body, &rep) == nil && r.Header.Get("Authorization") == "Bearer sesame" {
		h.reports = append(h.reports, rep)
	}
}

// The crash kernel, whose network is up for its target, posts the report to a real web
// server, and notes that beside the dump. Of two older dumps one goes.
func TestNotify(t *testing.T) {
	if !allTargets() {
		t.Skip("make test-targets has this")
	}
	h := new(hook)
	web := httptest.NewServer(h)
	defer web.Close()
	_, port, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := sshd.Start(t, sshd.Options{})
	_, sshPort, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	dumps := filepath.Join(t.TempDir(), "dumps")
	for _, name := range []string{"smoke-2024-01-01T00-00-00Z", "smoke-2024-01-02T00-00-00Z"} {
		if err := os.MkdirAll(filepath.Join(dumps, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{"vmcore": "old", "report.json": `{"host":"smoke","result":"complete","crash_time":"2024-01-01T00:00:00Z"}`} {
			if err := os.WriteFile(filepath.Join(dumps, name, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	files := lab.SSHFiles(s.Key, s.KnownHostsAt(net.JoinHostPort(lab.AtGateway, sshPort)))
	files["/token"] = []byte("sesame\n")
	o := crash(t, lab.Story{
		Config: lab.SSHConfig(s.User, sshPort, dumps) + "keep 2\nnotify http://" + net.JoinHostPort(lab.AtGateway, port) + "/crash\nnotify_token /token\n" + lab.OnUserNetwork,
		Files:  files,
		Extra:  lab.UserNIC("a", lab.NICA), Unmounted: true,
	})
	console(t, o, "the report was posted")
	all, err := lab.LeftIn(dumps)
	if err != nil || len(all) != 2 || all[0].Name != "smoke-2024-01-02T00-00-00Z" {
		t.Fatalf("%d directories, %v; want the new one and the newer of the old ones", len(all), err)
	}
	l := all[1]
	if !slices.Contains(l.Names(), past.NotifiedName) {
		t.Errorf("files %q lack %s", l.Names(), past.NotifiedName)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls != 2 || len(h.reports) != 1 {
		t.Fatalf("%d requests, %d reports; want one that was refused and one that was taken", h.calls, len(h.reports))
	}
	r := h.reports[0]
	if r.Result != capture.Complete || r.Dir != l.Name || !strings.Contains(r.Panic, "sysrq triggered crash") || len(r.Removed) != 1 {
		t.Errorf("report: %s, %s, panic %q, removed %q", r.Result, r.Dir, r.Panic, r.Removed)
	}
}
