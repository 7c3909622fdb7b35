package netswitch

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// frame is one from and to stations of these numbers.
func frame(from, to byte, rest ...byte) []byte {
	return append([]byte{2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from}, rest...)
}

type station struct {
	t *testing.T
	c net.Conn
}

func (s station) send(f []byte) {
	s.t.Helper()
	if _, err := s.c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)); err != nil {
		s.t.Fatal(err)
	}
}

func (s station) receive() []byte {
	s.t.Helper()
	_ = s.c.SetReadDeadline(time.Now().Add(30 * time.Second))
	var n [4]byte
	if _, err := io.ReadFull(s.c, n[:]); err != nil {
		s.t.Fatal(err)
	}
	f := make([]byte, binary.BigEndian.Uint32(n[:]))
	if _, err := io.ReadFull(s.c, f); err != nil {
		s.t.Fatal(err)
	}
	return f
}

func TestSwitch(t *testing.T) {
	folder, err := os.MkdirTemp("", "sw")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	sw, err := New(folder, Port{VLAN: 7, NoDHCP: true}, Port{}, Port{Dead: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sw.Close()
	var s []station
	for n := range 3 {
		_, path, _ := strings.Cut(sw.Netdev(n, "x"), "addr.path=")
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s = append(s, station{t, c})
	}
	for connected := 0; connected < 3; time.Sleep(time.Millisecond) { // they are accepted in their own time
		connected = 0
		for _, p := range sw.ports {
			p.mu.Lock()
			if p.conn != nil {
				connected++
			}
			p.mu.Unlock()
		}
	}
	tagged := frame(1, 2, 0x81, 0, 0x20, 7, 8, 0, 'a')
	plain := frame(1, 2, 8, 0, 'a')
	dhcp := append(frame(1, 2, 0x81, 0, 0, 7, 8, 0, 0x45, 0, 0, 30, 0, 0, 0, 0, 9, 17, 0, 0), make([]byte, 12)...)
	dhcp = append(dhcp[:len(dhcp)-4], 0, 68, 0, 67, 0, 0, 0, 0)
	s[2].send(frame(3, 2, 8, 0, 'z')) // lost
	s[0].send(frame(1, 2, 0x81, 0, 0, 8, 8, 0, 'b'))
	s[0].send(plain) // without its tag, lost
	s[0].send(dhcp)
	s[0].send(tagged)
	if got := s[1].receive(); !bytes.Equal(got, plain) {
		t.Errorf("% x, want % x", got, plain)
	}
	sw.Set(0, Port{VLAN: 7})
	s[1].send(frame(2, 1, 8, 0, 'c'))
	if got, want := s[0].receive(), frame(2, 1, 0x81, 0, 0, 7, 8, 0, 'c'); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
	s[0].send(dhcp)
	if got := s[1].receive(); got[23] != 17 {
		t.Errorf("% x", got)
	}
}
