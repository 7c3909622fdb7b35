package nbd

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// client speaks the protocol's other side.
type client struct {
	t *testing.T
	net.Conn
}

func dial(t *testing.T, f Faults) (*client, *Disk, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, bytes.Repeat([]byte{'.'}, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDisk(path, f)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	go Serve(l, d)
	t.Cleanup(func() { l.Close() })
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := &client{t, conn}
	c.read(18)
	c.send(uint32(3))
	c.send(uint64(optMagic), uint32(8), uint32(0)) // structured replies: not known here
	if got := binary.BigEndian.Uint32(c.read(20)[12:]); got != repUnsupported {
		t.Errorf("an unknown option gave %#x", got)
	}
	c.send(uint64(optMagic), uint32(optGo), uint32(6), uint32(0), uint16(0))
	if got := binary.BigEndian.Uint64(c.read(20 + 12 + 20)[22:]); got != 1<<16 {
		t.Errorf("size %d, want %d", got, 1<<16)
	}
	return c, d, path
}

func (c *client) send(parts ...any) {
	c.t.Helper()
	if err := send(c, parts...); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) read(n int) []byte {
	c.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		c.t.Fatal(err)
	}
	return b
}

// do sends one request and gives the error code, and n bytes if there is none.
func (c *client) do(kind uint16, off, length int, data []byte, n int) (uint32, []byte) {
	c.t.Helper()
	c.send(uint32(requestMagic), uint16(0), kind, uint64(7), uint64(off), uint32(length), data)
	h := c.read(16)
	code := binary.BigEndian.Uint32(h[4:])
	if code != 0 {
		n = 0
	}
	return code, c.read(n)
}

func TestCacheAndCut(t *testing.T) {
	for name, f := range map[string]Faults{"honest": {}, "liar": {DropFlush: true}} {
		t.Run(name, func(t *testing.T) {
			c, d, path := dial(t, f)
			mark := d.Begin(Mark{Flushes: 1})
			c.do(cmdWrite, 0, 4, []byte("AAAA"), 0)
			c.do(cmdFlush, 0, 0, nil, 0)
			<-mark
			c.do(cmdWrite, 2, 4, []byte("BBBB"), 0)
			c.do(cmdWrite, 8, 2, []byte("CC"), 0)
			if _, got := c.do(cmdRead, 0, 12, nil, 12); string(got) != "AABBBB..CC.." {
				t.Errorf("read %q through the cache", got)
			}
			if d.Written() != 10 {
				t.Errorf("%d bytes written, want 10", d.Written())
			}
			last := 1
			want := "AAAA....CC.."
			if f.DropFlush {
				last, want = 2, "........CC.."
			}
			if err := d.Cut(func(i int) bool { return i == last }); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got[:12]) != want {
				t.Errorf("after the cut the disk holds %q, %v; want %q", got[:12], err, want)
			}
		})
	}
}

func TestWriteFails(t *testing.T) {
	c, d, _ := dial(t, Faults{FailAfter: 6})
	if code, _ := c.do(cmdWrite, 0, 8, []byte("BEFORE.."), 0); code != 0 {
		t.Errorf("a write before the fault begins: %d", code)
	}
	mark := d.Begin(Mark{Bytes: 8})
	for i, want := range []uint32{0, 0, uint32(syscall.EIO)} {
		if code, _ := c.do(cmdWrite, 100, 4, []byte("XXXX"), 0); code != want {
			t.Errorf("write %d: error %d, want %d", i, code, want)
		}
	}
	<-mark
	for _, off := range []int{1 << 16, 1<<16 - 2} {
		if code, _ := c.do(cmdWrite, off, 4, []byte("XXXX"), 0); code != uint32(syscall.ENOSPC) {
			t.Errorf("a write at %d, behind the end: error %d", off, code)
		}
		if code, _ := c.do(cmdRead, off, 4, nil, 4); code != uint32(syscall.EINVAL) {
			t.Errorf("a read at %d, behind the end: error %d", off, code)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestHang(t *testing.T) {
	c, d, _ := dial(t, Faults{HangAfter: 1})
	d.Begin(Mark{})
	c.do(cmdWrite, 0, 4, []byte("XXXX"), 0)
	c.send(uint32(requestMagic), uint16(0), uint16(cmdWrite), uint64(7), uint64(0), uint32(1), []byte("Y"))
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes of an answer, %v", n, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
