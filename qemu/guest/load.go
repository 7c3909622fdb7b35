package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/guest/script"
)

// workerArg is argument 0 of a worker; the arguments behind it are its name and
// the MiB of anonymous memory and of tmpfs that it takes.
const workerArg = "worker"

// fill starts the workers and fills the page cache. It returns when all of the
// memory is in use.
func fill(f script.Fill) error {
	for i := range f.Workers {
		cmd := exec.Cmd{
			Path:        "/init",
			Args:        []string{workerArg, script.WorkerName(i), strconv.Itoa(f.AnonMiB), strconv.Itoa(f.ShmMiB)},
			Stderr:      os.Stderr,
			SysProcAttr: &syscall.SysProcAttr{Setsid: true},
		}
		ready, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("worker %d: %w", i, err)
		}
		if _, err := ready.Read(make([]byte, 1)); err != nil {
			return fmt.Errorf("worker %d did not come up: %w", i, err)
		}
	}
	if f.CacheMiB > 0 {
		if err := os.MkdirAll(f.CacheDir, 0o755); err != nil {
			return err
		}
	}
	for i := range f.CacheMiB {
		if err := os.WriteFile(filepath.Join(f.CacheDir, fmt.Sprintf("cache%03d", i)), pattern("page cache", 1), 0o600); err != nil {
			return err
		}
	}
	unix.Sync()
	say("filled memory: %d workers, %d MiB of page cache", f.Workers, f.CacheMiB)
	return nil
}

// work is the life of a worker: it takes its name and its memory, says so and
// sleeps.
func work(name, anonMiB, shmMiB string) {
	held, err := take(name, anonMiB, shmMiB)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	fmt.Println("up")
	for {
		time.Sleep(time.Hour)
		held[0]++ // the memory stays in use
	}
}

// take takes a worker's name and memory.
func take(name, anonMiB, shmMiB string) ([]byte, error) {
	if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
		return nil, err
	}
	anon, err := strconv.Atoi(anonMiB)
	if err != nil {
		return nil, err
	}
	shm, err := strconv.Atoi(shmMiB)
	if err != nil {
		return nil, err
	}
	if shm > 0 {
		if err := os.WriteFile("/tmp/"+name, pattern("tmpfs of "+name, shm), 0o600); err != nil {
			return nil, err
		}
	}
	return pattern("anonymous of "+name, anon), nil
}

// pattern is n MiB of a text that a search in a dump finds.
func pattern(text string, n int) []byte {
	line := []byte("gokdump " + text + "\n")
	p := bytes.Repeat(line, (n<<20)/len(line)+1)[:max(n<<20, 1)]
	for page := 0; page+8 <= len(p); page += 4096 { // pages of the same bytes are stored once
		binary.LittleEndian.PutUint64(p[page:], uint64(page))
	}
	return p
}
