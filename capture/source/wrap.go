package source

import (
	"github.com/gokdump/gokdump/capture/vmcore"
)

// mended is a core with some of its answers changed.
type mended struct {
	vmcore.Source
	ram         []vmcore.Range
	pageSize    uint64
	notes, info []byte
}

func (m *mended) RAM() []vmcore.Range { return m.ram }
func (m *mended) PageSize() uint64    { return m.pageSize }
func (m *mended) Notes() []byte       { return m.notes }
func (m *mended) VMCoreInfo() []byte  { return m.info }

// mendedKdump is the same for a kdump-compressed core.
type mendedKdump struct {
	vmcore.Kdump
	m    mended
	head vmcore.KdumpHeader
}

func (k *mendedKdump) RAM() []vmcore.Range         { return k.m.ram }
func (k *mendedKdump) Notes() []byte               { return k.m.notes }
func (k *mendedKdump) VMCoreInfo() []byte          { return k.m.info }
func (k *mendedKdump) Header() *vmcore.KdumpHeader { return &k.head }
