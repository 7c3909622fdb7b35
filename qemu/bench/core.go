package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/lab"
)

// The real core: a guest of so much memory, most of it in use.
const (
	coreMiB     = 5 << 10
	coreTimeout = 40 * time.Minute
	// coreVersion is part of the cached core's name; what changes the core
	// changes it.
	coreVersion = 1
)

// work is what the guest does before it panics: it fills page cache with a
// system's files, with a kernel's debug information and with the sources and
// programs of Go; slab with the inodes and names of many files; anonymous memory
// with what interpreters make of JSON and text; tmpfs with archives of files. Part
// of it is given back, so that free pages hold what they held.
const work = `
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
exec >/dev/null 2>&1
mount -t proc proc /proc; mount -t tmpfs -o size=2g tmpfs /tmp; mount -t devtmpfs dev /dev; mount -t tmpfs tmpfs /run
cat > /run/job.py <<'PY'
import json, os, sys, time
n, seed = int(sys.argv[1]), int(sys.argv[2])
rows, names = [], []
for top in ("/usr/lib", "/usr/share", "/opt"):
    for d, _, fs in os.walk(top):
        for f in fs:
            names.append(os.path.join(d, f))
for i in range(n):
    p = names[(i * 31 + seed * 7919) % len(names)]
    try:
        s = os.lstat(p)
    except OSError:
        continue
    rows.append({"id": i, "path": p, "size": s.st_size, "mtime": s.st_mtime, "inode": s.st_ino,
        "tags": p.strip("/").split("/"), "owner": {"uid": s.st_uid, "gid": s.st_gid, "name": "user%d" % (i % 97)}})
text = json.dumps(rows)
index = {}
for r in json.loads(text):
    for t in r["tags"]:
        index.setdefault(t, []).append(r["id"])
blob = []
for p in names[seed * 50:]:
    try:
        with open(p, "rb") as f:
            blob.append(f.read(1 << 20))
    except OSError:
        pass
    if len(blob) > 800:
        break
open("/run/up%d" % seed, "w").close()
while True:
    time.sleep(3600)
PY
for i in 1 2 3 4 5 6; do python3 /run/job.py 60000 $i & done
mkdir /tmp/n; i=0
perl -e 'for $i (0..60000) { my $d = sprintf "/tmp/n/%03d", $i % 500; mkdir $d; open F, ">", "$d/entry-$i.txt"; print F "file $i\n" x ($i % 20); close F }'
tar -C /usr -cf /tmp/usr.tar lib/python3 bin share
tar -C /usr -cf /tmp/gone.tar lib/x86_64-linux-gnu
for f in /vmlinux /opt/*; do cat $f; done
mkdir /opt/x; tar -C /opt/x -xf /opt/go.tar
find / -xdev -type f -exec cat {} +
for i in 1 2 3 4 5 6; do while [ ! -e /run/up$i ]; do sleep 1; done; done
rm -f /tmp/gone.tar; rm -rf /tmp/n/0* /opt/x/test
perl -e 'my %h; while (my $l = <>) { $h{$1}++ while $l =~ /(\w+)/g } sleep 100000' /usr/share/perl/*/*.pm /usr/share/perl/*/*/*.pm &
sleep 60 & sh -c 'sleep 90000' &
find / -xdev -type f -name '*.go' -exec cat {} +
exit 0
`

// realCore is the core of a busy guest, from the cache or made now.
func realCore(ctx context.Context, l *lab.Lab, cache, root string, progress io.Writer) (string, error) {
	name := filepath.Join(cache, "cores", fmt.Sprintf("bench-%d-%s.elf", coreVersion, l.Kernel.Release))
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "gokdump-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(progress, "making a core of %d MiB (once; some minutes with KVM, up to %v without)\n", coreMiB, coreTimeout)
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("bench: go env GOROOT: %w", err)
	}
	gotar := filepath.Join(dir, "go.tar")
	if _, err := debian.RunRoot(ctx, "tar", "-C", strings.TrimSpace(string(goroot)), "-cf", gotar, "src", "bin", "pkg", "test"); err != nil {
		return "", err
	}
	part := name + ".part"
	defer os.Remove(part)
	err = l.DumpBusy(ctx, dir, part, lab.Busy{
		Root:  root,
		Files: map[string]string{"vmlinux": l.Kernel.Debug, "opt/go.tar": gotar},
		Work:  work, MemoryMiB: coreMiB, DiskMiB: 4 << 10, Timeout: coreTimeout,
	}, progress)
	if err != nil {
		return "", err
	}
	return name, os.Rename(part, name)
}
