package matrix

import (
	"slices"
	"strings"

	"github.com/gokdump/gokdump/qemu/matrix/spec"
)

// KernelSpec says where a kernel of the matrix comes from.
type KernelSpec struct {
	Suite     string   // Debian release
	Additions []string // its additions, such as security updates
	Prefix    string   // of the release, as uname -r gives it
	Flavour   string
	Cases     []string // which cases it goes through; nil means all
}

// Kernels are Debian's own kernels, oldest first.
var Kernels = []KernelSpec{
	{Suite: "bullseye", Additions: []string{"bullseye-security"}, Prefix: "5.10.", Flavour: "cloud-amd64"},
	{Suite: "bookworm", Additions: []string{"bookworm-security"}, Prefix: "6.1.", Flavour: "cloud-amd64"},
	{Suite: "trixie", Additions: []string{"trixie-security"}, Prefix: "6.12.", Flavour: "cloud-amd64"},
	{Suite: "trixie", Additions: []string{"trixie-security"}, Prefix: "6.12.", Flavour: "rt-amd64", Cases: []string{"usual"}},
	{Suite: "sid", Prefix: "7.", Flavour: "cloud-amd64"},
}

// Case is a machine that crashes.
type Case struct {
	Name string
	// About says in a few words what is in it.
	About string
	// Append is added to the kernel's command line.
	Append    string
	CPU       string // QEMU's model; empty for the usual one
	MemoryMiB int
	Machine   string // properties of QEMU's machine; empty for none
	Spec      spec.Spec
	// Capture lets kdump-init make its own dump after the copy.
	Capture bool
	// Ragged has a hole that begins and ends inside a page.
	Ragged bool
}

// Cases are all machines. Each has as many things in it as go together, for a
// machine under emulation takes its time.
var Cases = []Case{
	{
		Name:      "usual",
		About:     "4-level paging, KASLR; THP, 2 MiB hugetlb, balloon, memory errors where the kernel has them, one inside a block of the kernel's own; captured by kdump-init as well",
		MemoryMiB: 1024,
		Spec:      spec.Spec{Workers: 6, AnonMiB: 6, THPMiB: 24, Huge: 8, BalloonMiB: 64, CacheMiB: 32, Poison: true},
		Capture:   true,
	},
	{
		Name:      "la57-holes",
		About:     "5-level paging, no KASLR; mem= and holes that do not begin or end at a page block, one of them inside pages",
		Append:    "nokaslr mem=960M memmap=33M$0x0a345000 memmap=100K$0x06789200",
		CPU:       "qemu64,+la57",
		MemoryMiB: 1024,
		Ragged:    true,
		Spec:      spec.Spec{Workers: 4, AnonMiB: 6, THPMiB: 16, Huge: 4, CacheMiB: 16},
	},
	{
		Name:      "gigantic",
		About:     "1 GiB page reserved at boot with hugetlb_free_vmemmap=on, 2 MiB ones later; RAM on both sides of the hole below 4 GiB",
		Append:    "hugepagesz=1G hugepages=1 hugepagesz=2M hugetlb_free_vmemmap=on",
		CPU:       "qemu64,+pdpe1gb",
		MemoryMiB: 2560,
		Machine:   "max-ram-below-4g=512M", // leaves the 1 GiB from 4 GiB on whole
		Spec:      spec.Spec{Workers: 4, AnonMiB: 6, THPMiB: 16, Huge: 8, Gigantic: true, CacheMiB: 16},
	},
}

// Of are the cases that a kernel goes through.
func (k KernelSpec) Of() []Case {
	var all []Case
	for _, c := range Cases {
		if k.Cases == nil || slices.Contains(k.Cases, c.Name) {
			all = append(all, c)
		}
	}
	return all
}

// ShortCase is the usual case without kdump-init, which the smoke tests cover: so its
// core outlives changes of the code.
func ShortCase() Case {
	c := Cases[0]
	c.Name, c.Capture = "short", false
	return c
}

// fiveLevel tells whether the machine has five levels of page tables.
func (c Case) fiveLevel() bool { return strings.Contains(c.CPU, "la57") }
