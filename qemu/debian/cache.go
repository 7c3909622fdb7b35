package debian

import (
	"fmt"
	"os"
	"path/filepath"
)

// CacheEnv is the environment variable that names the cache.
const CacheEnv = "GOKDUMP_CACHE"

// CacheDir is where downloads are kept between runs: $GOKDUMP_CACHE, or gokdump in
// the user's cache directory.
func CacheDir() (string, error) {
	if dir := os.Getenv(CacheEnv); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("debian: no place for a cache: %w; set %s", err, CacheEnv)
	}
	return filepath.Join(dir, "gokdump"), nil
}

// atomically makes the directory name by letting fill write into another one
// beside it. A directory that exists is whole and is left alone; a run that is cut
// short leaves none.
func atomically(name string, fill func(dir string) error) error {
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	parent := filepath.Dir(name)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, ".part-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	err = os.Rename(tmp, name)
	if _, there := os.Stat(name); err != nil && there == nil {
		return nil // another run was faster
	}
	return err
}
