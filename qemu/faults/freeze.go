package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/lab"
)

// A kernel that hangs: where its processor waits for work, it finds an endless loop.
// Interrupts are still served, as they are by a kernel whose driver spins; no process
// runs any more. It is done by QEMU's debugger (docs/system/gdb of QEMU, "GDB Remote
// Serial Protocol").

// freezes is the story of a crash kernel that hangs when it has saved the log, on a
// machine with the kernel's own watchdog.
func freezes(s *scene) error {
	socket := filepath.Join(s.TempDir(), "gdb")
	s.story.Config = lab.DefaultConfig + plainRaw + "extra_modules softdog\n"
	s.story.Extra = []string{"-gdb", "unix:" + socket + ",server=on,wait=off"}
	s.story.Unmounted = true
	s.story.Attach = func(image string) (qemu.Drive, error) { // a dump of a hundred MiB takes its time
		return qemu.Drive{Path: image, WriteMiBps: 4}, nil
	}
	s.story.Talk = func(ctx context.Context, vm *qemu.VM) error {
		if err := vm.Expect(ctx, "save log: vmcore-dmesg.txt"); err != nil {
			return err
		}
		return freeze(ctx, socket)
	}
	return nil
}

// freeze puts the loop where the first processor waits.
func freeze(ctx context.Context, socket string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("debugger: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	g := gdb{conn, bufio.NewReader(conn)} // which stops the machine
	for ctx.Err() == nil {
		if _, err := g.do("Hg1", `OK`); err != nil {
			return err
		}
		regs, err := g.do("g", `[0-9a-fx]{280,}`)
		if err != nil {
			return err
		}
		b, err := hex.DecodeString(regs)
		if err != nil || len(b) < 140 {
			return fmt.Errorf("debugger: registers %.80q", regs)
		}
		// Sixteen registers, and then rip and the flags, of which bit 9 lets
		// interrupts through.
		rip, flags := binary.LittleEndian.Uint64(b[128:]), binary.LittleEndian.Uint32(b[136:])
		before, err := g.do(fmt.Sprintf("m%x,1", rip-1), `[0-9a-f]{2}|E[0-9a-f]{2}`) // it may be no memory
		if err != nil {
			return err
		}
		if before == "f4" && flags&(1<<9) != 0 { // behind hlt
			_, err := g.do(fmt.Sprintf("M%x,2:ebfe", rip), `OK`) // jmp to itself
			if err == nil {
				_, err = g.do("D", `OK`)
			}
			return err
		}
		if err := g.send("c"); err != nil {
			return err
		}
		wait(ctx, 10*time.Millisecond)
		if _, err := conn.Write([]byte{3}); err != nil {
			return err
		}
		if _, err := g.answer(`[TS].*`); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// gdb is a connection to a debugger.
type gdb struct {
	conn net.Conn
	r    *bufio.Reader
}

// do sends a command and gives the first answer that matches the regular expression:
// a machine that stops says so in between.
func (g gdb) do(command, want string) (string, error) {
	if err := g.send(command); err != nil {
		return "", err
	}
	return g.answer(want)
}

func (g gdb) send(command string) error {
	sum := byte(0)
	for _, c := range []byte(command) {
		sum += c
	}
	_, err := fmt.Fprintf(g.conn, "$%s#%02x", command, sum)
	return err
}

// answer reads packets up to the one that is wanted, and confirms them.
func (g gdb) answer(want string) (string, error) {
	re := regexp.MustCompile("^(" + want + ")$")
	for {
		if _, err := g.r.ReadString('$'); err != nil { // confirmations come before
			return "", fmt.Errorf("debugger: %w", err)
		}
		text, err := g.r.ReadString('#')
		if err == nil {
			_, err = g.r.Discard(2) // the sum: a socket loses nothing
		}
		if err == nil {
			_, err = g.conn.Write([]byte("+"))
		}
		if err != nil {
			return "", fmt.Errorf("debugger: %w", err)
		}
		text = strings.TrimSuffix(text, "#")
		if re.MatchString(text) {
			return text, nil
		}
		if strings.HasPrefix(text, "E") {
			return "", fmt.Errorf("debugger: it says %s, want %s", text, want)
		}
	}
}
