package sshtarget

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sys/unix"
)

// known is what known_hosts says of one server.
type known struct {
	addr       string
	callback   ssh.HostKeyCallback
	algorithms []string // that the server is asked for: those of the known keys
}

// newKnown reads text, a known_hosts file, for the server at addr.
func newKnown(addr string, text []byte) (*known, error) {
	callback, err := readKnown(text)
	if err != nil {
		return nil, fmt.Errorf("ssh target %s: %w", addr, err)
	}
	k := &known{addr: addr, callback: callback}
	// The library tells the known keys when it is shown one that is not.
	var ke *knownhosts.KeyError
	stranger, err := ssh.NewPublicKey(make(ed25519.PublicKey, ed25519.PublicKeySize))
	if err != nil {
		return nil, fmt.Errorf("ssh target %s: %w", addr, err)
	}
	if err := callback(addr, &net.TCPAddr{IP: net.IPv4zero}, stranger); !errors.As(err, &ke) {
		return nil, fmt.Errorf("ssh target %s: known_hosts: %w", addr, err)
	}
	if len(ke.Want) == 0 {
		host, port, _ := net.SplitHostPort(addr)
		return nil, fmt.Errorf("ssh target %s: known_hosts has no key of %s: add what 'ssh-keyscan -p %s %s' prints, after comparing its fingerprint with the server's own", addr, knownhosts.Normalize(addr), port, host)
	}
	for _, w := range ke.Want {
		k.offer(w.Key.Type())
	}
	if bytes.Contains(text, []byte("@cert-authority")) {
		k.algorithms = append([]string{ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01,
			ssh.CertAlgoECDSA521v01, ssh.CertAlgoRSASHA256v01, ssh.CertAlgoRSASHA512v01}, k.algorithms...)
	}
	return k, nil
}

// offer adds the algorithms for a known key. A server that is asked for others
// shows another of its keys, and that would look like a changed one.
func (k *known) offer(keyType string) {
	algorithms := []string{keyType}
	if keyType == ssh.KeyAlgoRSA {
		algorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	for _, a := range algorithms {
		if !slices.Contains(k.algorithms, a) {
			k.algorithms = append(k.algorithms, a)
		}
	}
}

// readKnown gives text to the library, which reads files only.
func readKnown(text []byte) (ssh.HostKeyCallback, error) {
	fd, err := unix.MemfdCreate("known_hosts", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("known_hosts: memory for a file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "known_hosts")
	defer f.Close()
	if _, err := f.Write(readable(text)); err != nil {
		return nil, fmt.Errorf("known_hosts: %w", err)
	}
	callback, err := knownhosts.New(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, fmt.Errorf("known_hosts: %w", err)
	}
	return callback, nil
}

// keyTypes are those of host keys that the library can check.
func keyTypes() []string {
	return []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA}
}

// readable empties the lines whose key is of another type. It could never be
// accepted, but would make the library refuse the whole file.
func readable(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		words := strings.Fields(string(line))
		if len(words) > 0 && (words[0] == "@cert-authority" || words[0] == "@revoked") {
			words = words[1:]
		}
		if len(words) >= 3 && words[0][0] != '#' && !slices.Contains(keyTypes(), words[1]) {
			lines[i] = nil
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

// HostKeyError says that the server showed a key that is not the known one. No
// data was sent to it, and it was not tried to log in.
type HostKeyError struct {
	Addr    string
	Shown   ssh.PublicKey
	Known   []ssh.PublicKey // none when the key was revoked
	Revoked bool
}

func (e *HostKeyError) Error() string {
	shown := e.Shown.Type() + " " + ssh.FingerprintSHA256(e.Shown)
	if e.Revoked {
		return fmt.Sprintf("the server %s shows the host key %s, which known_hosts calls revoked: nothing was sent", e.Addr, shown)
	}
	var have []string
	for _, k := range e.Known {
		have = append(have, k.Type()+" "+ssh.FingerprintSHA256(k))
	}
	return fmt.Sprintf("the host key of %s has CHANGED: known_hosts has %s, the server shows %s; nothing was sent. "+
		"Either somebody is in between, or the server got a new key: then compare the fingerprint on the server itself "+
		"(ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), put the new key into known_hosts, and build the crash image again",
		e.Addr, strings.Join(have, ", "), shown)
}

func (k *known) check(addr string, remote net.Addr, key ssh.PublicKey) error {
	err := k.callback(addr, remote, key)
	if err == nil {
		return nil
	}
	out := &HostKeyError{Addr: k.addr, Shown: key}
	var ke *knownhosts.KeyError
	var re *knownhosts.RevokedError
	switch {
	case errors.As(err, &re):
		out.Revoked = true
	case errors.As(err, &ke):
		for _, w := range ke.Want {
			out.Known = append(out.Known, w.Key)
		}
	default: // a certificate that is not for this host, or is over
		return fmt.Errorf("host key of %s: %w", k.addr, err)
	}
	return out
}
