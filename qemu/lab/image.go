package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// BuildImage builds the crash image of a kdump.conf, given as text, in dir and
// returns its path. No machine runs.
func (l *Lab) BuildImage(ctx context.Context, dir, config string) (string, error) {
	file, image := filepath.Join(dir, "kdump.conf"), filepath.Join(dir, "kdump.img")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	_, err := l.buildImage(ctx, l.Kernel.Root, file, image)
	return image, err
}
