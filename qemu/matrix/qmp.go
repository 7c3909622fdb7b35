package matrix

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"
)

// inflate tells the machine behind a QMP socket to leave its guest no more than size
// bytes of memory. It returns when QEMU has taken the order; the guest obeys later.
func inflate(socket string, size int64) error {
	conn, err := net.DialTimeout("unix", socket, 10*time.Second)
	if err != nil {
		return fmt.Errorf("matrix: QEMU's monitor: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return fmt.Errorf("matrix: QEMU's monitor: %w", err)
	}
	in := bufio.NewScanner(conn)
	for _, order := range []string{`{"execute":"qmp_capabilities"}`, fmt.Sprintf(`{"execute":"balloon","arguments":{"value":%d}}`, size)} {
		if _, err := fmt.Fprintln(conn, order); err != nil {
			return fmt.Errorf("matrix: QEMU's monitor: %w", err)
		}
		if err := answer(in); err != nil {
			return fmt.Errorf("matrix: QEMU's monitor: %s: %w", order, err)
		}
	}
	return nil
}

// answer skips greeting and events and gives an order's result.
func answer(in *bufio.Scanner) error {
	for in.Scan() {
		var m struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := json.Unmarshal(in.Bytes(), &m); err != nil {
			return err
		}
		if m.Error != nil {
			return fmt.Errorf("%s", m.Error.Desc)
		}
		if m.Return != nil {
			return nil
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return fmt.Errorf("the connection ended: %s", strings.TrimSpace(in.Text()))
}
