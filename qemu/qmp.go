package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// QMPArgs are the arguments, for [Opts].Extra, that make QEMU listen for a
// [QMP] at the unix socket path, of at most 100 bytes.
func QMPArgs(path string) []string {
	return []string{"-qmp", "unix:" + comma(path) + ",server=on,wait=off"}
}

// QMP is a connection to a machine's monitor, by the QEMU Machine Protocol
// (docs/interop/qmp-spec of QEMU). One goroutine uses it at a time.
type QMP struct {
	conn net.Conn
	dec  *json.Decoder
}

// maxQMP bounds what a connection reads, in bytes.
const maxQMP = 16 << 20

// DialQMP connects to the socket, which QEMU makes before it starts the guest.
func DialQMP(ctx context.Context, path string) (*QMP, error) {
	var conn net.Conn
	for {
		var err error
		if conn, err = new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("qemu: monitor: %w", errors.Join(err, context.Cause(ctx)))
		case <-time.After(50 * time.Millisecond):
		}
	}
	q := &QMP{conn: conn, dec: json.NewDecoder(bufio.NewReader(io.LimitReader(conn, maxQMP)))}
	if _, err := q.Do(ctx, "qmp_capabilities", nil); err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

// Do carries out a command and gives what it returns, as JSON. Events that come
// before the answer are thrown away.
func (q *QMP) Do(ctx context.Context, command string, args map[string]any) (json.RawMessage, error) {
	// Closing is the only way to end a read; the connection is of no use then.
	defer context.AfterFunc(ctx, func() { q.conn.Close() })()
	fail := func(err error) (json.RawMessage, error) {
		return nil, fmt.Errorf("qemu: monitor: %s: %w", command, errors.Join(err, context.Cause(ctx)))
	}
	msg := map[string]any{"execute": command}
	if args != nil {
		msg["arguments"] = args
	}
	if err := json.NewEncoder(q.conn).Encode(msg); err != nil {
		return fail(err)
	}
	for {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Class, Desc string
			} `json:"error"`
		}
		if err := q.dec.Decode(&answer); err != nil {
			return fail(err)
		}
		switch {
		case answer.Error != nil:
			return fail(fmt.Errorf("%s: %s", answer.Error.Class, answer.Error.Desc))
		case answer.Return != nil:
			return answer.Return, nil
		}
	}
}

// DumpGuestMemory stops the guest, writes its memory to a file and lets it go
// on. The format is one of QEMU's: "elf", "kdump-zlib", and so on; paging makes
// an ELF file by the guest's page tables.
func (q *QMP) DumpGuestMemory(ctx context.Context, path, format string, paging bool) error {
	_, err := q.Do(ctx, "dump-guest-memory", map[string]any{
		"paging": paging, "protocol": "file:" + path, "format": format,
	})
	return err
}

// Close ends the connection.
func (q *QMP) Close() error { return q.conn.Close() }
