package qemu

import (
	"fmt"
	"io"
	"os"
)

// EFI firmware for machines (TianoCore's, of Debian's package ovmf): its code, and a
// store of variables as it leaves the factory.
const (
	efiCode    = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	efiFactory = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// MakeEFIVars makes the file path a variable store for [Opts.EFIVars].
func MakeEFIVars(path string) error {
	from, err := os.Open(efiFactory)
	if err != nil {
		return fmt.Errorf("qemu: EFI firmware: %w; scripts/setup installs it", err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("qemu: EFI firmware: %w", err)
	}
	_, err = io.Copy(to, from)
	if cerr := to.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("qemu: EFI firmware: %w", err)
	}
	return nil
}
