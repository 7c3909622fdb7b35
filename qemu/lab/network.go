package lab

import (
	"fmt"

	"github.com/gokdump/gokdump/qemu/nfsd"
)

// Addresses of a machine with a network.
const (
	// NICA and NICB are hardware addresses of its NICs.
	NICA = "52:54:00:12:00:0a"
	NICB = "52:54:00:12:00:0b"
	// AtGateway is where a guest on QEMU's user network sees the host's loopback
	// interface, 127.0.0.1.
	AtGateway = "10.0.2.2"
	// OnUserNetwork is the line of kdump.conf for a NIC on that network.
	OnUserNetwork = "network dhcp on " + NICA + "\n"
)

// UserNIC is QEMU's arguments for a NIC on its user network. The monitor knows it as
// nic-ID.
func UserNIC(id, mac string) []string {
	return []string{"-netdev", "user,id=" + id, "-device", "virtio-net-pci,netdev=" + id + ",id=nic-" + id + ",mac=" + mac}
}

// NFSConfig is a kdump.conf that names the export of a server of package nfsd, for a
// guest that sees it at host and these ports. Dumps lie in [CrashDir] below the export.
func NFSConfig(host, version string, port, mountPort int) string {
	return fmt.Sprintf("nfs %s:%s\nnfs_version %s\nnfs_options port=%d,mountport=%d\npath %s\nhost smoke\n", host, nfsd.Export, version, port, mountPort, CrashDir)
}

// SSHConfig is a kdump.conf that names a directory of a server at the host's port.
func SSHConfig(user, port, dir string) string {
	return "ssh " + user + "@" + AtGateway + "\nssh_port " + port + "\nsshkey /key\nssh_known_hosts /hosts\npath " + dir + "\nhost smoke\n"
}

// SSHFiles are the files that [SSHConfig] names.
func SSHFiles(key, knownHosts []byte) map[string][]byte {
	return map[string][]byte{"/key": key, "/hosts": knownHosts}
}

// S3Config is a kdump.conf that names a bucket, and a prefix in it, of a store at the
// host's port; scheme is http or https.
func S3Config(scheme, port, where string) string {
	return "s3 " + scheme + "://" + AtGateway + ":" + port + "/" + where + "\ns3_credentials /keys\nhost smoke\n"
}

// S3Files are the files that [S3Config] names, and /ca for the line s3_ca.
func S3Files(access, secret string, ca []byte) map[string][]byte {
	return map[string][]byte{
		"/keys": []byte("[default]\naws_access_key_id = " + access + "\naws_secret_access_key = " + secret + "\n"),
		"/ca":   ca,
	}
}
