package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/gokdump/gokdump/initramfs/boot"
)

// signFD is the worker's end of the pipe for signs.
const signFD = 3

// child is a worker in a process of its own.
type child struct {
	p     *os.Process
	signs <-chan sign
	exit  chan string
}

// startWorker starts this binary again as the worker, to begin with the plan's
// target first. It writes to console; what the Go runtime has to say when it dies goes to log.
func startWorker(first int, console *os.File, log *boot.Log) (process, error) {
	signR, signW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer signW.Close()
	errR, errW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, signR.Close())
	}
	defer errW.Close()
	p, err := os.StartProcess("/proc/self/exe", []string{"kdump-init", workerArg, strconv.Itoa(first)}, &os.ProcAttr{
		Files: []*os.File{nil, console, errW, signW},
		Env:   []string{"GOTRACEBACK=all"},
	})
	if err != nil {
		return nil, errors.Join(err, signR.Close(), errR.Close())
	}
	c := &child{p: p, signs: readSigns(signR), exit: make(chan string, 1)}
	said := make(chan struct{})
	go func() {
		defer close(said)
		for lines := bufio.NewScanner(errR); lines.Scan(); {
			log.Warnf("worker: %s", lines.Text())
		}
	}()
	go func() {
		st, err := p.Wait()
		<-said // so that its last words come before the news
		c.exit <- explain(st, err)
	}()
	return c, nil
}

// explain says how a worker ended, and what that mostly means.
func explain(st *os.ProcessState, err error) string {
	if err != nil {
		return fmt.Sprintf("the worker cannot be waited for: %v", err)
	}
	how := fmt.Sprintf("the worker process ended: %v", st)
	ws, ok := st.Sys().(syscall.WaitStatus)
	switch {
	case !ok || !ws.Signaled() && ws.ExitStatus() != 2:
	case ws.Signaled() && ws.Signal() == syscall.SIGKILL:
		how += " (out of memory, most likely: reserve more with crashkernel=)"
	case ws.Signaled():
		how += " (an error of its own or of the hardware: see the log)"
	default:
		how += " (an internal error: see the log)"
	}
	return how
}

func (c *child) Signs() <-chan sign  { return c.signs }
func (c *child) Exit() <-chan string { return c.exit }
func (c *child) Kill()               { _ = c.p.Kill() }
