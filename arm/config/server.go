package config

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// Where a server's files lie on a host, unless kdump.conf says otherwise: the
// first is where kdumpctl(8) keeps its key.
const (
	DefaultSSHKey        = "/root/.ssh/kdump_id_rsa"
	DefaultSSHKnownHosts = "/root/.ssh/known_hosts"
	DefaultS3Credentials = "/root/.aws/credentials"
	DefaultS3Region      = "us-east-1"
	DefaultCA            = "/etc/ssl/certs/ca-certificates.crt"
)

// sshTarget takes ssh USER@HOST; an address of IPv6 stands in brackets or not.
func (p *parser) sshTarget(word, value string) {
	v, ok := p.unquote(word, value)
	if !ok {
		return
	}
	at := strings.LastIndexByte(v, '@')
	user, host := v[:max(at, 0)], v[at+1:]
	if in, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(in, "]")
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsAny(host, ":[]/") {
		p.errorf("%s %s: want USER@HOST; the port is said by ssh_port, the directory by path", word, v)
		return
	}
	if user == "" || host == "" || strings.ContainsAny(user, "/:@") {
		p.errorf("%s %s: want USER@HOST", word, v)
		return
	}
	n := strconv.Itoa(len(p.cfg.Targets) + 1)
	t := plan.SSH{Host: host, Port: 22, User: user, Key: "ssh-key-" + n, KnownHosts: "ssh-known-hosts-" + n}
	if p.addTarget(Target{Kind: plan.KindSSH, SSH: &t}) {
		p.setFile(t.Key, DefaultSSHKey)
		p.setFile(t.KnownHosts, DefaultSSHKnownHosts)
	}
}

// s3Target takes s3 http[s]://HOST[:PORT]/BUCKET[/PREFIX].
func (p *parser) s3Target(word, value string) {
	v, ok := p.unquote(word, value)
	if !ok {
		return
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		p.errorf("%s %s: want https://HOST/BUCKET or https://HOST/BUCKET/PREFIX", word, clip(v))
		return
	}
	bucket, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if bucket == "" || slices.Contains(strings.Split(u.Path, "/"), "..") {
		p.errorf("%s %s: which bucket? want https://HOST/BUCKET", word, clip(v))
		return
	}
	if u.Scheme == "http" {
		p.notef("%s: dumps go unencrypted over the network: use https, or recipient", word)
	}
	n := strconv.Itoa(len(p.cfg.Targets) + 1)
	t := plan.S3{Endpoint: u.Scheme + "://" + u.Host, Region: DefaultS3Region, Bucket: bucket, PathStyle: true, Credentials: "s3-credentials-" + n}
	if u.Scheme == "https" {
		t.CA = "s3-ca-" + n
	}
	if p.addTarget(Target{Kind: plan.KindS3, S3: &t, Path: prefix}) {
		p.setFile(t.Credentials, DefaultS3Credentials)
		if u.Scheme == "https" {
			p.setFile(t.CA, DefaultCA)
		}
	}
}

// setFile says which file of the host one of the image's files is.
func (p *parser) setFile(name, source string) {
	for i := range p.cfg.Files {
		if p.cfg.Files[i].Name == name {
			p.cfg.Files[i].Source = source
			return
		}
	}
	p.cfg.Files = append(p.cfg.Files, ImageFile{name, source})
}

// below gives the target that a word belongs to, which must be of a kind.
func (p *parser) below(word string, kind plan.Kind) *Target {
	t := p.lastTarget()
	if t == nil || t.Kind != kind {
		p.errorf("%s: it belongs below the line of a target that begins with %s", word, kind)
		return nil
	}
	if !p.once(word+" "+strconv.Itoa(len(p.cfg.Targets)), word) {
		return nil
	}
	return t
}

// filePath reads the path of a file of the host.
func (p *parser) filePath(word, value string) (string, bool) {
	v, ok := p.unquote(word, value)
	if ok && (!path.IsAbs(v) || path.Clean(v) != v) {
		p.errorf("%s %s: want the absolute path of a file", word, v)
		ok = false
	}
	return v, ok
}

func (p *parser) sshFile(word, value string) {
	t := p.below(word, plan.KindSSH)
	v, ok := p.filePath(word, value)
	if t == nil || !ok {
		return
	}
	name := t.SSH.Key
	if word == "ssh_known_hosts" {
		name = t.SSH.KnownHosts
	}
	p.setFile(name, v)
}

func (p *parser) sshPort(word, value string) {
	if t := p.below(word, plan.KindSSH); t != nil {
		if n, ok := p.number(word, value, 1, 65535); ok {
			t.SSH.Port = n
		}
	}
}

func (p *parser) s3File(word, value string) {
	t := p.below(word, plan.KindS3)
	v, ok := p.filePath(word, value)
	if t == nil || !ok {
		return
	}
	name := t.S3.Credentials
	if word == "s3_ca" {
		if name = t.S3.CA; name == "" {
			p.errorf("%s: the server is not asked by https, so there is nothing to trust", word)
			return
		}
	}
	p.setFile(name, v)
}

func (p *parser) s3Region(word, value string) {
	t := p.below(word, plan.KindS3)
	v, ok := p.unquote(word, value)
	if t != nil && ok {
		t.S3.Region = v
	}
}

func (p *parser) s3Style(word, value string) {
	t := p.below(word, plan.KindS3)
	if t == nil {
		return
	}
	switch value {
	case "path", "virtual":
	default:
		p.errorf("%s %s is not known: want path or virtual", word, clip(value))
		return
	}
	host, _, err := net.SplitHostPort(strings.TrimPrefix(strings.TrimPrefix(t.S3.Endpoint, "https://"), "http://"))
	if err != nil {
		host = t.S3.Endpoint[strings.Index(t.S3.Endpoint, "//")+2:]
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && value == "virtual" {
		p.errorf("%s virtual: the server is named by its address, which a bucket's name cannot stand before", word)
		return
	}
	t.S3.PathStyle = value == "path"
}
