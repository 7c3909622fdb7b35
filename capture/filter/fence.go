package filter

import (
	"fmt"
	"runtime/debug"
)

// panicError is a panic turned into an error. Struct pages of a kernel that nobody
// has seen must not cost the dump: whoever meets one keeps all pages.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("internal error of the filter: %v", e.value) }

// fence calls f and gives its error, or a [*panicError].
func fence(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return f()
}
