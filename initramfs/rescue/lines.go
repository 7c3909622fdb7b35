package rescue

import (
	"io"
	"time"
)

// maxLine bounds a line, in bytes; what is longer is cut.
const maxLine = 1024

// maxEOF is how many ends of file in a row mean that a terminal is gone. A
// single one is only a Ctrl-D.
const maxEOF = 20

// eofPause is waited after each, so that a dead terminal costs no CPU.
const eofPause = 100 * time.Millisecond

// readLines reads in to its end, from a goroutine of its own since a read from
// a terminal cannot be called off. The channel is closed at the end.
func readLines(in io.Reader) <-chan string {
	ch := make(chan string)
	go func() {
		defer close(ch)
		defer func() { _ = recover() }() // a reader that panics is a terminal that is gone
		buf := make([]byte, 256)
		var line []byte
		for eofs := 0; eofs < maxEOF; {
			n, err := in.Read(buf)
			for _, b := range buf[:n] {
				switch {
				case b == '\n' || b == '\r':
					ch <- string(line)
					line = line[:0]
				case b == 0x7f || b == '\b': // of a terminal that does no editing
					line = line[:max(len(line)-1, 0)]
				case len(line) < maxLine:
					line = append(line, b)
				}
			}
			switch {
			case n > 0:
				eofs = 0
			case err == nil || err == io.EOF:
				eofs++
				time.Sleep(eofPause)
			default:
				return
			}
		}
	}()
	return ch
}
