package config

import (
	"net/netip"
	"testing"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/google/go-cmp/cmp"
)

func TestServers(t *testing.T) {
	c := parse(t, `ssh kdump@backup.example.org
path /srv/dumps
sshkey /etc/kdump/key
ssh_port 2222
s3 https://s3.example.org/dumps/of/db
s3_credentials /etc/kdump/s3
s3_region eu-1
s3_style virtual
ssh root@[2001:db8::1]
s3 http://127.0.0.1:9000/b
`)
	host := Host{
		Name: "h", Release: "1",
		Lookup: func(name string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2." + map[string]string{"backup.example.org": "1", "s3.example.org": "2"}[name])}, nil
		},
		Network: func(*plan.Network, []netip.Addr, []netip.Addr) (*plan.Network, error) {
			return &plan.Network{
				Interfaces: []plan.Interface{{Name: "eth0", NIC: &plan.NIC{MAC: "52:54:00:00:00:01"}, DHCP4: true}},
				Deadlines:  plan.DefaultNetworkDeadlines(),
			}, nil
		},
	}
	p, err := c.Plan(host)
	if err != nil {
		t.Fatal(err)
	}
	want := []plan.Target{
		{Kind: plan.KindSSH, Path: "/srv/dumps", SSH: &plan.SSH{Host: "backup.example.org", Addresses: []string{"192.0.2.1"}, Port: 2222, User: "kdump", Key: "ssh-key-1", KnownHosts: "ssh-known-hosts-1"}},
		{Kind: plan.KindS3, Path: "of/db", S3: &plan.S3{Endpoint: "https://s3.example.org", Addresses: []string{"192.0.2.2"}, Region: "eu-1", Bucket: "dumps", Credentials: "s3-credentials-2", CA: "s3-ca-2"}},
		{Kind: plan.KindSSH, Path: DefaultPath, SSH: &plan.SSH{Host: "2001:db8::1", Addresses: []string{"2001:db8::1"}, Port: 22, User: "root", Key: "ssh-key-3", KnownHosts: "ssh-known-hosts-3"}},
		{Kind: plan.KindS3, S3: &plan.S3{Endpoint: "http://127.0.0.1:9000", Addresses: []string{"127.0.0.1"}, Region: DefaultS3Region, Bucket: "b", PathStyle: true, Credentials: "s3-credentials-4"}},
	}
	if d := cmp.Diff(want, p.Targets); d != "" {
		t.Error(d)
	}
	files := []ImageFile{
		{"ssh-key-1", "/etc/kdump/key"}, {"ssh-known-hosts-1", DefaultSSHKnownHosts},
		{"s3-credentials-2", "/etc/kdump/s3"}, {"s3-ca-2", DefaultCA},
		{"ssh-key-3", DefaultSSHKey}, {"ssh-known-hosts-3", DefaultSSHKnownHosts},
		{"s3-credentials-4", DefaultS3Credentials},
	}
	if d := cmp.Diff(files, c.Files); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{plan.FeatureNet, plan.FeatureS3, plan.FeatureSSH}, p.Features()); d != "" {
		t.Error(d)
	}
	if len(c.Notes) != 1 {
		t.Errorf("notes %q: want one, about http", c.Notes)
	}
}
