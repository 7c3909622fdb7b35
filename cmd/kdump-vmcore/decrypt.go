package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/crypt"
)

const decryptUsage = `usage: kdump-vmcore decrypt -i KEYFILE [-o DIR] [-f] FILE.age|DIR...

Decrypts a dump and its log that were encrypted to a public key (recipient in
kdump.conf). Of a directory, all files that end in .age are taken. What comes out
lies beside them, or in the directory of -o, under the names without .age.

  -i KEYFILE  private keys: those of age-keygen, or one of ssh-keygen without a
              passphrase; - reads them from standard input; may be repeated
  -o DIR      where the decrypted files go
  -f          overwrite them

exit codes: 0 complete, 1 failed, 2 wrong usage
`

// paths is a flag that may be repeated.
type paths []string

func (p *paths) String() string     { return strings.Join(*p, " ") }
func (p *paths) Set(s string) error { *p = append(*p, s); return nil }

func runDecrypt(ctx context.Context, c *cli, args []string) int {
	fs := flag.NewFlagSet("decrypt", flag.ContinueOnError)
	var keys paths
	fs.Var(&keys, "i", "")
	to := fs.String("o", "", "")
	force := fs.Bool("f", false, "")
	files, code, done := c.parse(fs, decryptUsage, args, 1, 1000)
	if done {
		return code
	}
	if len(keys) == 0 {
		return c.usageError("decrypt", errors.New("-i KEYFILE is missing: the file with the private key"))
	}
	ids, err := readKeys(keys)
	if err != nil {
		return c.fail(err)
	}
	all, err := encrypted(files)
	if err != nil {
		return c.fail(err)
	}
	for _, in := range all {
		dir := filepath.Dir(in)
		if *to != "" {
			dir = *to
		}
		out := filepath.Join(dir, strings.TrimSuffix(filepath.Base(in), capture.EncryptedSuffix))
		n, err := decryptFile(ctx, in, out, ids, *force)
		if err != nil {
			if code = c.fail(fmt.Errorf("%s: %w", in, err)); ctx.Err() != nil {
				return code
			}
			continue // the others may be sound
		}
		fmt.Fprintf(c.stdout, "%s: %s\n", out, capture.Bytes(uint64(n)))
	}
	return code
}

func readKeys(names []string) ([]age.Identity, error) {
	var all []age.Identity
	for _, name := range names {
		f := os.Stdin
		if name != "-" {
			var err error
			if f, err = os.Open(name); err != nil {
				return nil, err
			}
			defer f.Close()
		}
		ids, err := crypt.ParseIdentities(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, ids...)
	}
	return all, nil
}

// encrypted lists the files to decrypt.
func encrypted(names []string) ([]string, error) {
	var all []string
	for _, name := range names {
		st, err := os.Stat(name)
		switch {
		case err != nil:
			return nil, err
		case st.IsDir():
			found, err := filepath.Glob(filepath.Join(escape(name), "*"+capture.EncryptedSuffix))
			if err != nil {
				return nil, err
			}
			if len(found) == 0 {
				return nil, fmt.Errorf("%s: no file there ends in %s", name, capture.EncryptedSuffix)
			}
			all = append(all, found...)
		case !strings.HasSuffix(name, capture.EncryptedSuffix):
			return nil, hinted{fmt.Errorf("%s does not end in %s", name, capture.EncryptedSuffix), "what is not encrypted needs no decrypt"}
		default:
			all = append(all, name)
		}
	}
	return all, nil
}

// escape makes a name one that filepath.Glob takes as it is.
func escape(name string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(name)
}

// decryptFile makes out, which has its name only when all of it proved sound.
func decryptFile(ctx context.Context, in, out string, ids []age.Identity, force bool) (int64, error) {
	if err := checkOut(in, out); err != nil {
		return 0, err
	}
	f, err := os.Open(in)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := crypt.Decrypt(f, ids)
	if err != nil {
		return 0, err
	}
	w, done, err := createOut(out, force)
	if err != nil {
		return 0, err
	}
	defer done()
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, &interrupted{ctx, text}, make([]byte, 1<<20))
	if err == nil {
		return n, w.Commit()
	}
	return 0, errors.Join(fmt.Errorf("after %d bytes: %w", n, err), w.Abandon(), os.Remove(unfinished(out, w)))
}

// interrupted is a reader that ends when ctx does.
type interrupted struct {
	ctx context.Context
	r   io.Reader
}

func (i *interrupted) Read(p []byte) (int, error) {
	if err := context.Cause(i.ctx); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}
