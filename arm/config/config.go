// Package config reads kdump.conf and turns it into the plan that the crash
// image carries.
//
// It owns the file's language: its words, its checks, its defaults, and the
// messages about all three. It never looks at the machine by itself: what it must
// know about the host comes in a [Host]. It never builds or arms anything.
//
// The language is the familiar one of kdump.conf(5), a word and its value on each
// line, cut down to what gokdump does, with a few words of our own:
//
//	ext4|xfs|btrfs  DEVICE      the file system for dumps; DEVICE is UUID=…, LABEL=…,
//	                            PARTUUID=…, PARTLABEL=… or a path under /dev
//	btrfs DEVICE subvol=NAME    a subvolume other than the default one
//	raw DEVICE                  a block device without a file system
//	path DIR                    directory for dumps; inside that file system when one is named,
//	                            see below
//	level N                     dump level, 0 to 31
//	codec NAME                  zstd, zlib, lzo, snappy or none
//	core_collector makedumpfile [-c|-l|-p|-z] [-d N] [--num-threads N] [--message-level N]
//	failure_action reboot|poweroff|halt|shell|dump_to_rootfs
//	final_action   reboot|poweroff|halt|shell
//	extra_modules NAME...       kernel modules to load besides the target's
//	host NAME                   names the machine in the dump directory's name
//	timeout device|mount|stall|capture|reboot|link|address|route DURATION
//	recipient age1… | ssh-ed25519 … | ssh-rsa …   encrypt log and dump to this public
//	                            key; any number
//	luks_key FILE               the key file of the encrypted volumes (LUKS) that targets lie on
//	notify URL                  post the report there; notify_ca FILE, notify_token FILE
//	keep N, keep_free SIZE      remove old dumps after a new one that is whole
//	loop_guard N DURATION|off   save only the log after N dumps within that time
//
//	nfs HOST:/EXPORT            an NFS export for dumps; below it:
//	nfs_version VERSION         4.2, 4.1, 4.0, 3 or auto
//	nfs_options OPTION,...      as in fstab
//	ssh USER@HOST               a directory on an SSH server; below it:
//	sshkey FILE                 the private key; default /root/.ssh/kdump_id_rsa
//	ssh_known_hosts FILE        who the server is; default /root/.ssh/known_hosts
//	ssh_port N                  default 22
//	s3 https://HOST/BUCKET[/PREFIX]   S3-compatible object storage; below it:
//	s3_credentials FILE         default /root/.aws/credentials
//	s3_region NAME              default us-east-1
//	s3_ca FILE                  PEM certificates to trust, instead of the host's
//	s3_style path|virtual       where the bucket's name stands; default path
//
//	network auto                as the host reaches the targets' servers now, which is the default
//	network [dhcp] [dhcp6] [slaac] [ADDRESS/LENGTH]... [gateway ADDRESS] [mtu N] [on DEVICE]
//	network ip=… vlan=… bond=… nameserver=… rd.route=…     as in dracut.cmdline(7)
//	vlan NAME ID on DEVICE
//	bond NAME on DEVICE,DEVICE... [mode=MODE] [OPTION=VALUE]...
//	route NETWORK via GATEWAY [on DEVICE]
//	nameserver ADDRESS...
//
// Up to plan.MaxTargets targets may be named: each is tried when those above it
// failed. A path below a target is that target's; above all, it is for every
// target that has none of its own.
//
// A comment starts with # at the start of a line or after white space.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"

	"github.com/gokdump/gokdump/capture/plan"
)

// File is where the configuration lies on a host. It is optional.
const File = "/etc/kdump.conf"

// The defaults of a configuration that does not say otherwise.
const (
	DefaultPath  = "/var/crash"
	DefaultLevel = 31
	DefaultCodec = "zstd"
)

// MaxSize bounds a configuration file, in bytes.
const MaxSize = 1 << 20

// Config is one configuration, checked as far as its own text tells.
type Config struct {
	// Name is the file's name, for messages; empty for [Default].
	Name string
	// Targets are the places for dumps, the best first. None means the file
	// system of the running host that holds Path.
	Targets []Target
	// Path is the directory for dumps, absolute and clean, of every target that
	// names none.
	Path string
	// DumpToRootfs adds, as the last target, the file system of the running host
	// that holds [DefaultPath].
	DumpToRootfs bool
	// Files are what the targets need in the image.
	Files []ImageFile
	// Level is the dump level, 0 to 31; see [plan.Dump].
	Level int
	// Codec is one of [plan.Codecs].
	Codec string
	// Workers is the number of compressing goroutines; 0 is one for each CPU.
	Workers int
	// FailureAction and FinalAction are done after a failure and a success.
	FailureAction, FinalAction plan.Action
	// ExtraModules are kernel modules to load besides the target's, in order.
	ExtraModules []string
	// Host names the machine; empty means the running host's name.
	Host string
	// Deadlines bound every wait, NetworkDeadlines the steps of bringing up a
	// network.
	Deadlines        plan.Deadlines
	NetworkDeadlines plan.NetworkDeadlines
	// Network is what the file says of the network; nil means that the host's own
	// way to the targets' servers is to be taken. A NIC in it that has neither a
	// MAC nor a path is the host's of that name.
	Network *plan.Network
	// DNS are the servers to ask in place of the host's, when Network is nil.
	DNS []netip.Addr
	// Recipients are the public keys that log and dump are encrypted to.
	Recipients []string
	// LUKSKey is the path of the key file that opens the LUKS volumes which targets lie
	// on; empty means that there is none.
	LUKSKey string
	// Notify is where the report is posted; the zero value is nowhere.
	Notify Notify
	// Keep is the rule for old dumps, LoopGuard the one against crash loops; nil
	// is none.
	Keep      plan.Keep
	LoopGuard *plan.LoopGuard
	// Notes say what was accepted but has no effect, one sentence each,
	// with file and line.
	Notes []string
}

// Target names one place for dumps.
type Target struct {
	// Kind says what it is.
	Kind plan.Kind
	// FSType is one of [plan.FSTypes], for a target of kind fs, and Device the block
	// device that holds it, or is the target itself.
	FSType string
	Device plan.Device
	// NFS is an export, without the server's addresses, of a target of kind nfs.
	NFS *plan.NFS
	// SSH and S3 are a server, without its addresses, of a target of these kinds.
	SSH *plan.SSH
	S3  *plan.S3
	// Options are for mount(2): a btrfs subvolume, or those of NFS.
	Options string
	// Path is the directory for dumps in it; empty means Config.Path.
	Path string
	// Line is where the file names it, from 1.
	Line int
}

// ImageFile is a file of this host that goes into the image.
type ImageFile struct {
	// Name is its name there, see [plan.Plan.Files]; Source its path here.
	Name, Source string
}

// Default gives what an empty file means.
func Default() *Config {
	return &Config{
		Path:          DefaultPath,
		Level:         DefaultLevel,
		Codec:         DefaultCodec,
		FailureAction: plan.Reboot,
		FinalAction:   plan.Reboot,
		Deadlines:     plan.DefaultDeadlines(),
		LoopGuard:     defaultGuard(),

		NetworkDeadlines: plan.DefaultNetworkDeadlines(),
	}
}

func defaultGuard() *plan.LoopGuard {
	g := plan.DefaultLoopGuard()
	return &g
}

// Load reads the file called name. When it does not exist and optional is true, the
// result is [Default].
func Load(name string, optional bool) (*Config, error) {
	f, err := os.Open(name)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return Default(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	return Parse(f, name)
}

// Parse reads one configuration. name stands for the file in messages. Everything
// that is wrong is reported at once, joined, each as "NAME:LINE: what"; the
// parts are of type *[Error].
func Parse(r io.Reader, name string) (*Config, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("config: read %s: %w", name, err)
	}
	if len(text) > MaxSize {
		return nil, fmt.Errorf("config: %s is larger than %d bytes: this is no kdump.conf", name, MaxSize)
	}
	p := &parser{cfg: Default(), seen: map[string]int{}}
	p.cfg.Name = name
	p.run(string(text))
	p.finishNetwork()
	p.checkAfter()
	if err := p.errs.join(); err != nil {
		return nil, err
	}
	return p.cfg, nil
}
