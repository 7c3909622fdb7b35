package config

import (
	"errors"
	"fmt"
)

// maxErrors bounds the errors that one file reports: a file that is no
// configuration at all must not fill the terminal.
const maxErrors = 20

// Error is one thing that is wrong in a configuration file.
type Error struct {
	File string // as given to [Parse]
	Line int    // from 1
	Msg  string
}

// Error gives FILE:LINE: message.
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// errorList keeps the first maxErrors errors and counts the rest.
type errorList struct {
	list []error
	more int
}

func (l *errorList) add(err error) {
	if len(l.list) >= maxErrors {
		l.more++
		return
	}
	l.list = append(l.list, err)
}

func (l *errorList) join() error {
	if l.more > 0 {
		return errors.Join(append(l.list, fmt.Errorf("and %d more errors", l.more))...)
	}
	return errors.Join(l.list...)
}
