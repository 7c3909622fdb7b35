package archive

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/cavaliergopher/cpio"
)

// trailer is the name of the entry that ends an archive.
const trailer = "TRAILER!!!"

// Write packs files into w. The same files in any order give the same bytes.
// Missing parent directories are added. Everything that is written is
// unpacked again on the way and compared, since a library that packs wrong would
// only show after the crash; no other check reads the image back.
func Write(w io.Writer, c Compression, files []File) (Stats, error) {
	list, err := prepare(files)
	if err != nil {
		return Stats{}, err
	}
	check := newChecker(c)
	packed := &counter{w: io.MultiWriter(w, check.in)}
	plain := &counter{w: check.want}
	err = writePacked(packed, plain, c, list)
	st := Stats{Plain: plain.n, Packed: packed.n}
	if cerr := check.finish(err); err == nil {
		err = cerr
	}
	if err != nil {
		return Stats{}, fmt.Errorf("archive: write %s: %w", c, err)
	}
	return st, nil
}

func writePacked(packed, plain io.Writer, c Compression, list []File) error {
	z, err := c.compressor(packed)
	if err != nil {
		return err
	}
	if err := writeCpio(io.MultiWriter(z, plain), list); err != nil {
		return err
	}
	return z.Close()
}

// writeCpio uses the library only in the ways that it does soundly: every field
// that it would make up or cut short is set or checked here.
func writeCpio(w io.Writer, list []File) error {
	cw := cpio.NewWriter(w)
	for i, f := range list {
		h := &cpio.Header{
			Name:  f.Name,
			Mode:  cpio.FileMode(f.Mode.Perm()) | cpio.TypeReg,
			Size:  int64(len(f.Data)),
			Inode: int64(i + 1), // one for each: the same number twice is a hard link
			Links: 1,
		}
		if f.Mode.IsDir() {
			h.Mode = cpio.FileMode(f.Mode.Perm()) | cpio.TypeDir
			h.Links = 2
		}
		if err := cw.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if _, err := io.Copy(cw, bytes.NewReader(f.Data)); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return cw.Close()
}

// checker unpacks what is written to in and compares it, by its hash, with what
// was written to want.
type checker struct {
	in   *io.PipeWriter
	want hash.Hash
	got  hash.Hash
	end  chan error
}

func newChecker(c Compression) *checker {
	r, w := io.Pipe()
	k := &checker{in: w, want: sha256.New(), got: sha256.New(), end: make(chan error, 1)}
	go func() {
		err := k.unpack(c, r)
		// Not to be closed with success: the writer must notice when nobody reads.
		r.CloseWithError(fmt.Errorf("unpack what was packed: %w", orEnd(err)))
		k.end <- err
	}()
	return k
}

func orEnd(err error) error {
	if err == nil {
		return io.ErrClosedPipe
	}
	return err
}

func (k *checker) unpack(c Compression, r io.Reader) error {
	plain, done, err := c.decompressor(r)
	if err != nil {
		return err
	}
	defer done()
	if _, err := io.Copy(k.got, plain); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r) // what a decompressor did not care to read
	return err
}

// finish ends the unpacking; failed says that the packing did not end well.
func (k *checker) finish(failed error) error {
	k.in.CloseWithError(failed)
	if err := <-k.end; err != nil {
		return fmt.Errorf("unpack what was packed: %w", err)
	}
	if !bytes.Equal(k.want.Sum(nil), k.got.Sum(nil)) {
		return fmt.Errorf("what was packed unpacks to something else: the compression is broken")
	}
	return nil
}
