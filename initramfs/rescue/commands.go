package rescue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gokdump/gokdump/initramfs/boot"
	"golang.org/x/sys/unix"
)

const (
	// maxOutput bounds what one command prints, in bytes: a minute on a serial
	// line of 9600 baud.
	maxOutput = 64 << 10
	// maxEntries bounds what ls reads.
	maxEntries = 1000
	// commandTime is how long a command may take.
	commandTime = 150 * time.Second
)

// command is one of the console's words; those that end the dialogue have no
// run.
type command struct {
	name, usage, help string
	args              [2]int // how many it takes: least, most
	run               func(c *Console, args []string) (string, error)
}

// commands lists them in the order that help shows. It is a function since help
// is one of them.
func commands() []command {
	return []command{
		{"status", "status", "what happened, and how the machine is", [2]int{0, 0}, (*Console).status},
		{"log", "log", "the end of this capture's log", [2]int{0, 0}, (*Console).log},
		{"retry", "retry", "do the capture again, on what is mounted or on the plan's target", [2]int{}, nil},
		{"ls", "ls [PATH]", "list a directory", [2]int{0, 1}, (*Console).ls},
		{"cat", "cat FILE [OFFSET]", "show 64 KiB of a file, from byte OFFSET", [2]int{1, 2}, (*Console).cat},
		{"mount", "mount [DEVICE TYPE]", "mount the plan's target, or another device", [2]int{0, 2}, (*Console).mount},
		{"umount", "umount", "unmount it", [2]int{0, 0}, (*Console).umount},
		{"modules", "modules", "the modules that are loaded", [2]int{0, 0}, (*Console).modules},
		{"reboot", "reboot", "restart the machine", [2]int{}, nil},
		{"poweroff", "poweroff", "switch it off", [2]int{}, nil},
		{"halt", "halt", "stop it, with the power on", [2]int{}, nil},
		{"help", "help", "this list", [2]int{0, 0}, (*Console).help},
	}
}

func names() []string {
	var n []string
	for _, cmd := range commands() {
		n = append(n, cmd.name)
	}
	return n
}

// do runs one command, guarded and bounded in time and output.
func (c *Console) do(ctx context.Context, word string, args []string) {
	i := slices.IndexFunc(commands(), func(cmd command) bool { return cmd.name == word })
	if i < 0 {
		c.printf("%s: no such command; there are: %s\n", printable([]byte(word)), strings.Join(names(), " "))
		return
	}
	cmd := commands()[i]
	if len(args) < cmd.args[0] || len(args) > cmd.args[1] {
		c.printf("usage: %s\n", cmd.usage)
		return
	}
	c.machine.Alive(commandTime + c.idle)
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	result := make(chan string, 1)
	err := boot.Within(ctx, word, func() error {
		s, err := cmd.run(c, args)
		result <- s
		return err
	})
	select {
	case s := <-result:
		c.print(s)
	default:
	}
	if err != nil {
		c.printf("%s: %v\n", word, err)
	}
}

// print writes text in pieces, so that a slow terminal still shows that it is
// alive.
func (c *Console) print(s string) {
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	for len(s) > 0 {
		n := min(len(s), 1024)
		c.machine.Alive(c.idle)
		c.printf("%s", s[:n])
		s = s[n:]
	}
}

func (c *Console) help([]string) (string, error) {
	var b strings.Builder
	for _, cmd := range commands() {
		fmt.Fprintf(&b, "  %-20s %s\n", cmd.usage, cmd.help)
	}
	return b.String(), nil
}

func (c *Console) status([]string) (string, error) { return c.machine.Status(), nil }

func (c *Console) log([]string) (string, error) {
	b := c.machine.Log()
	if len(b) > maxOutput {
		b = b[len(b)-maxOutput:]
		_, after, _ := strings.Cut(string(b), "\n") // the cut line
		return "(only the end)\n" + printable([]byte(after)), nil
	}
	return printable(b), nil
}

func (c *Console) mount(args []string) (string, error) {
	var dev, fstype string
	switch len(args) {
	case 1:
		return "", errors.New("usage: mount [DEVICE TYPE]")
	case 2:
		dev, fstype = args[0], args[1]
	}
	dir, err := c.machine.Mount(dev, fstype)
	if err != nil {
		return "", err
	}
	return "mounted on " + dir, nil
}

func (c *Console) umount([]string) (string, error) { return "", c.machine.Unmount() }

func (c *Console) modules([]string) (string, error) {
	return c.cat([]string{filepath.Join(c.root, "/proc/modules")})
}

func (c *Console) ls(args []string) (string, error) {
	dir := "/"
	if len(args) > 0 {
		dir = args[0]
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if !st.IsDir() && st.Mode()&fs.ModeSymlink == 0 {
		return entry(st), nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	defer f.Close()
	entries, err := f.ReadDir(maxEntries)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	// Not slices.SortFunc: its code for one more type takes 14 KB of the crash image.
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	var b strings.Builder
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			b.WriteString(entry(info))
		}
	}
	if len(entries) == maxEntries {
		fmt.Fprintf(&b, "(only the first %d)\n", maxEntries)
	}
	return b.String(), err
}

func entry(st fs.FileInfo) string {
	return fmt.Sprintf("%v %12d %s %s\n", st.Mode(), st.Size(), st.ModTime().UTC().Format("2006-01-02 15:04:05"), printable([]byte(st.Name())))
}

func (c *Console) cat(args []string) (string, error) {
	var off int64
	if len(args) == 2 {
		n, err := strconv.ParseInt(args[1], 0, 64)
		if err != nil || n < 0 {
			return "", fmt.Errorf("offset %q is not a number of bytes", args[1])
		}
		off = n
	}
	// O_NONBLOCK: some files of /proc and all pipes wait for data otherwise.
	f, err := os.OpenFile(args[0], os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a plain file", args[0])
	}
	if off > 0 {
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			return "", err
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxOutput))
	s := printable(b)
	if len(b) == maxOutput {
		s += fmt.Sprintf("\n(more with: cat %s %d)", args[0], off+maxOutput)
	}
	return s, err
}

// printable keeps the terminal safe from what files hold.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, strings.ToValidUTF8(string(b), "."))
}
