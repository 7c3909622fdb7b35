// Package netswitch is a network switch for virtual machines, in this process:
// its ports are Ethernet segments of QEMU that are carried over unix sockets. A
// port may be the tagged side of a VLAN, may swallow everything, and may be told
// to lose DHCP: what QEMU's own user network cannot do.
//
// It owns the frames between its ports. It knows nothing of the machines.
//
// Facts: "-netdev stream" of qemu-system-x86_64(1), each frame behind its length,
// 32 bits, big-endian (net/stream.c); IEEE 802.1Q.
package netswitch

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
)

// maxFrame bounds a frame, in bytes.
const maxFrame = 1 << 17

// Port describes one port.
type Port struct {
	// VLAN, if not 0, is the tag that frames carry at this port; others are lost.
	VLAN uint16
	// NoDHCP loses the frames of DHCP's clients.
	NoDHCP bool
	// Dead loses everything, although the cable is there.
	Dead bool
}

// Switch forwards frames between its ports.
type Switch struct {
	listeners []net.Listener
	ports     []*port

	mu    sync.Mutex
	table map[[6]byte]*port // where an address was seen
}

type port struct {
	path string
	mu   sync.Mutex
	how  Port
	conn net.Conn
}

// Set changes port n.
func (s *Switch) Set(n int, how Port) {
	p := s.ports[n]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.how = how
}

func (p *port) now() Port {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.how
}

// New makes a switch whose sockets lie in folder, whose path must be short.
func New(folder string, ports ...Port) (*Switch, error) {
	s := &Switch{table: map[[6]byte]*port{}}
	for i, p := range ports {
		x := &port{how: p, path: filepath.Join(folder, fmt.Sprintf("port%d", i))}
		l, err := net.Listen("unix", x.path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("netswitch: %w", err), s.Close())
		}
		s.listeners = append(s.listeners, l)
		s.ports = append(s.ports, x)
		go s.accept(l, x)
	}
	return s, nil
}

// Netdev is the argument of QEMU's -netdev that connects segment id to port n.
func (s *Switch) Netdev(n int, id string) string {
	return fmt.Sprintf("stream,id=%s,server=off,addr.type=unix,addr.path=%s", id, s.ports[n].path)
}

// Close ends it.
func (s *Switch) Close() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	for _, p := range s.ports {
		p.mu.Lock()
		if p.conn != nil {
			p.conn.Close()
		}
		p.mu.Unlock()
	}
	return errors.Join(errs...)
}

func (s *Switch) accept(l net.Listener, p *port) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conn = c
		p.mu.Unlock()
		s.read(c, p)
	}
}

// read takes frames from a port until it is closed.
func (s *Switch) read(c net.Conn, from *port) {
	defer c.Close()
	r := bufio.NewReader(c)
	var head [4]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(head[:])
		if n > maxFrame {
			return
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		if frame = from.now().in(frame); frame != nil {
			s.forward(frame, from)
		}
	}
}

// in takes the tag off a frame, nil if it is to be lost.
func (p Port) in(frame []byte) []byte {
	if p.Dead || len(frame) < 14 {
		return nil
	}
	if p.VLAN != 0 {
		if len(frame) < 18 || binary.BigEndian.Uint16(frame[12:]) != 0x8100 || binary.BigEndian.Uint16(frame[14:])&0xfff != p.VLAN {
			return nil
		}
		frame = append(frame[:12:12], frame[16:]...)
	}
	if p.NoDHCP && isDHCP(frame) {
		return nil
	}
	return frame
}

// isDHCP knows IPv4 and UDP to port 67.
func isDHCP(f []byte) bool {
	return len(f) > 38 && binary.BigEndian.Uint16(f[12:]) == 0x0800 && f[23] == 17 && f[14] == 0x45 && binary.BigEndian.Uint16(f[36:]) == 67
}

func (s *Switch) forward(frame []byte, from *port) {
	var to, source [6]byte
	copy(to[:], frame)
	copy(source[:], frame[6:])
	s.mu.Lock()
	s.table[source] = from
	out := s.table[to]
	s.mu.Unlock()
	for _, p := range s.ports {
		if p != from && (out == nil || out == p || to[0]&1 != 0) {
			p.out(frame)
		}
	}
}

// out puts the tag on a frame and sends it.
func (p *port) out(frame []byte) {
	how := p.now()
	if how.Dead {
		return
	}
	if how.VLAN != 0 {
		tagged := append(make([]byte, 0, len(frame)+4), frame[:12]...)
		tagged = binary.BigEndian.AppendUint16(tagged, 0x8100)
		tagged = binary.BigEndian.AppendUint16(tagged, how.VLAN)
		frame = append(tagged, frame[12:]...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return
	}
	whole := append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
	_, _ = p.conn.Write(whole) // a port that is gone loses frames, as all switches do
}
