package spoiled

import (
	"fmt"
	"path/filepath"
	"slices"
)

// Cached are the paths of the cores that the matrix has in the cache of package
// debian, of the cases whose names match the pattern.
func Cached(cache, pattern string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(cache, "cores", "*."+pattern+".*", "vmcore"))
	if err != nil {
		return nil, fmt.Errorf("spoiled: %w", err)
	}
	slices.Sort(paths)
	return paths, nil
}
