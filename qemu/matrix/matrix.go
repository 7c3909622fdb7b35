// Package matrix proves dumps right, kernel by kernel and page by page: it crashes
// Debian's own kernels in machines of several kinds, keeps their whole memory, and
// compares what kdump-vmcore makes of it, at every dump level, with the newest
// makedumpfile, with the memory itself, and with what the newest readers find.
//
// It owns the cases, the rules that explain a difference, and the table. A difference
// counts as explained only when its cause is seen in the page's own struct page, in
// mem_section or in the core's headers; any other fails the matrix. It judges by
// code of its own where it can: struct pages are decoded here by what each rule needs,
// and contents are compared through libkdumpfile besides our own reader.
//
// Facts come from runs of makedumpfile 1.7.2 to 1.7.8, and from include/linux/mmzone.h
// and include/linux/page-flags.h of kernels 5.10 to 7.2.
package matrix

import (
	"io"

	"github.com/gokdump/gokdump/qemu/readers"
)

// Levels are the dump levels that are compared.
var Levels = []int{0, 1, 2, 4, 8, 16, 17, 23, 31}

// Codecs are all that kdump-vmcore writes.
var Codecs = []string{"none", "zlib", "lzo", "snappy", "zstd"}

// Matrix compares. Maker makes what it compares.
type Matrix struct {
	Maker
	// Readers are the newest that Debian has.
	Readers *readers.Readers
	// Progress takes what is going on.
	Progress io.Writer

	// versions, in which answers that are kept were given; see [Matrix.Versions]
	reference, drgnVersion, crashVersion string
}
