package arm

import "errors"

// ErrNoReservation says that the running kernel has set no memory aside for a
// crash kernel. Nothing can be loaded until it does, which takes a reboot.
var ErrNoReservation = errors.New("no memory is reserved for a crash kernel")

// Problem is a reason not to load, found before the kernel was asked.
type Problem struct {
	// Text says what is wrong, with the numbers.
	Text string
	// Next says what to do about it.
	Next string
	// Err is the cause, may be nil.
	Err error
}

// Error gives the text and the cause.
func (p *Problem) Error() string {
	if p.Err == nil {
		return p.Text
	}
	return p.Text + ": " + p.Err.Error()
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Hint says what to do next.
func (p *Problem) Hint() string { return p.Next }

// Hint finds what to do next in an error of this package or of arm/kexec; ""
// when it says nothing.
func Hint(err error) string {
	var h interface {
		error
		Hint() string
	}
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
