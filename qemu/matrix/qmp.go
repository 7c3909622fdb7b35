package matrix

import (
	"context"
	"time"

	"github.com/gokdump/gokdump/qemu"
)

// inflate tells the machine behind a QMP socket to leave its guest no more than size
// bytes of memory. It returns when QEMU has taken the order; the guest obeys later.
func inflate(ctx context.Context, socket string, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	monitor, err := qemu.DialQMP(ctx, socket)
	if err != nil {
		return err
	}
	defer monitor.Close()
	_, err = monitor.Do(ctx, "balloon", map[string]any{"value": size})
	return err
}
