// Package s3d runs an S3 server of its own for tests, versitygw, on the loopback
// interface; objects are files in a directory of the test.
//
// It is test code only.
package s3d

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Keys of the server's owner.
const (
	AccessKey = "gokdumptest"
	SecretKey = "not-a-secret/at+all"
)

// Bucket is the bucket that there is.
const Bucket = "crashes"

// Server is a running server.
type Server struct {
	Addr     string // host:port
	Endpoint string
	Objects  string // the directory of the bucket's objects
	CA       []byte // the certificate, in PEM, that proves the server; nil without TLS

	t      testing.TB
	dir    string
	args   []string
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs a server until the test ends.
func Start(t testing.TB, useTLS bool, args ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	s := &Server{t: t, dir: dir, Addr: freeAddr(t), Objects: filepath.Join(dir, "root", Bucket), args: args}
	s.Endpoint = "http://" + s.Addr
	for _, d := range []string{"root", "meta"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(s.Objects, 0o700); err != nil {
		t.Fatal(err)
	}
	if useTLS {
		s.Endpoint = "https://" + s.Addr
		s.certify()
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("log of the server:\n%s", b[max(0, len(b)-8<<10):])
		}
	})
	s.Run()
	return s
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Run starts the server, on the same port as before.
func (s *Server) Run() {
	s.t.Helper()
	path, err := Build(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	args := append([]string{"--port", s.Addr, "--access", AccessKey, "--secret", SecretKey}, s.args...)
	if s.CA != nil {
		args = append(args, "--cert", filepath.Join(s.dir, "cert.pem"), "--key", filepath.Join(s.dir, "key.pem"))
	}
	// Metadata lies beside the objects: not every file system has attributes.
	args = append(args, "posix", "--sidecar", filepath.Join(s.dir, "meta"), filepath.Join(s.dir, "root"))
	s.cmd = exec.Command(path, args...)
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) { c.Wait(); close(done) }(s.cmd, s.exited)
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-s.exited:
			s.t.Fatal("the S3 server ended")
		default:
		}
		if c, err := net.Dial("tcp", s.Addr); err == nil {
			c.Close()
			return
		}
	}
	s.t.Fatalf("the S3 server does not listen on %s", s.Addr)
}

// Stop ends the server.
func (s *Server) Stop() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		<-s.exited
		s.cmd = nil
	}
}

// Uploads is how many multipart uploads are begun and neither complete nor aborted.
func (s *Server) Uploads() int {
	n := 0
	// versitygw keeps them as BUCKET/.sgwtmp/multipart/HASH/UPLOAD.
	all, _ := filepath.Glob(filepath.Join(s.Objects, ".sgwtmp", "multipart", "*", "*"))
	for _, p := range all {
		if fi, err := os.Stat(p); err == nil && fi.IsDir() {
			n++
		}
	}
	return n
}

// certify makes a certificate that the server proves itself by.
func (s *Server) certify() {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 2, 2)}, DNSNames: []string{"localhost", Bucket + ".localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, b := range map[string][]byte{"cert.pem": s.CA, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})} {
		if err := os.WriteFile(filepath.Join(s.dir, name), b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}
