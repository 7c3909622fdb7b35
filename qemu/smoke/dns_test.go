//go:build vm

package smoke

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/nfsd"
)

// dnsDomain is where all names are the host, as guests see it; only the test's own DNS
// server knows.
const dnsDomain = ".gokdump.test"

// dnsServer runs dnsmasq on the loopback address, where guests see it at
// [lab.AtGateway]; the port is DNS's own, since nobody can be told of another. It
// returns the file to which it writes what it was asked. See dnsmasq(8), unshare(1).
func dnsServer(t *testing.T) (log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// It ends with its input: the shell is process 1 of its own process IDs.
	argv := debian.AsRoot("unshare", "--pid", "--fork", "--kill-child", "sh", "-c", `dnsmasq "$@" </dev/null & cat >/dev/null`, "sh",
		"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root",
		"--listen-address=127.0.0.1", "--bind-interfaces", "--port=53", "--no-resolv", "--no-hosts",
		"--address=/"+dnsDomain[1:]+"/"+lab.AtGateway, "--log-queries", "--log-facility=-")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = out, out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // killed with its shell, or at its end
	})
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:53")
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		found, err := r.LookupHost(ctx, "ready"+dnsDomain+".")
		if err == nil && len(found) == 1 && found[0] == lab.AtGateway {
			return log
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			said, _ := os.ReadFile(log)
			t.Fatalf("dnsmasq does not answer: %v, %v\n%s", found, err, said)
		}
	}
}

// bakeAddress has a crash image know an address of its first target's server, as
// if that had been there when the image was built.
func bakeAddress(address string) func(image string) error {
	return func(image string) error {
		var failed error
		err := lab.Rewrite(image, func(name string, data []byte) []byte {
			if name != "plan.json" {
				return data
			}
			p, err := plan.Decode(bytes.NewReader(data))
			if err != nil {
				failed = err
				return data
			}
			_, addresses := p.Targets[0].Server()
			*addresses = []string{address}
			var b bytes.Buffer
			failed = p.Encode(&b)
			return b.Bytes()
		})
		if err == nil && failed != nil {
			err = fmt.Errorf("bake an address: %w", failed)
		}
		return err
	}
}

// The crash kernel asks DNS where the server is: because the image was built on
// another machine, or because the server has moved since.
func TestNetworkDNS(t *testing.T) {
	if !allTargets() {
		t.Skip("make test-targets has this")
	}
	log := dnsServer(t)
	for _, tt := range []struct {
		name  string
		story lab.Story
	}{
		{name: "no-address-known"},
		{name: "server-has-moved", story: lab.Story{Damage: bakeAddress("10.0.2.99"), ArmFlags: []string{"--force"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, store := nfsServer(t, nfsd.Options{}), tt.name+dnsDomain
			tt.story.Config = lab.NFSConfig(store, "4.2", s.Port, s.MountPort) + lab.OnUserNetwork + "nameserver " + lab.AtGateway + "\n"
			tt.story.Extra = lab.UserNIC("a", lab.NICA)
			o := crash(t, tt.story)
			l := onServer(t, s, o)
			whole(t, l)
			console(t, o, "DNS says that "+store+" is "+lab.AtGateway, "mounted by NFS 4.2")
			if b, err := os.ReadFile(log); err != nil || !strings.Contains(string(b), "query[A] "+store+" from 127.0.0.1") {
				t.Errorf("the DNS server was not asked for %s, %v:\n%s", store, err, b)
			}
			opensInDrgn(t, o, l.Path(capture.DumpName))
		})
	}
}
