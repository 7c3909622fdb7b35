package config

import (
	"maps"
	"slices"
	"strings"
)

// peers lists the words of other kdump tools' files (kdump.conf(5) of Fedora and
// RHEL) that are not ours, each with what to do about it.
func peers() map[string]string {
	const (
		net     = "network targets of this kind are not supported: use nfs, ssh or s3, or name a local file system with ext4, xfs or btrfs"
		hooks   = "no scripts run in the crash kernel: it has no shell"
		hb      = "cluster notification is not supported yet"
		rebuild = "run kdump-mkinitramfs (with or without --if-needed) instead"
		old     = "this word is obsolete: remove the line"
	)
	return map[string]string{
		"cifs":             net,
		"virtiofs":         "virtiofs targets are not supported yet",
		"minix":            "minix file systems are not supported: use ext4, xfs or btrfs",
		"f2fs":             "f2fs is not supported yet: use ext4, xfs or btrfs",
		"ext2":             "write ext4 instead: the ext4 driver mounts ext2",
		"ext3":             "write ext4 instead: the ext4 driver mounts ext3",
		"default":          "this is the old name of failure_action: write that",
		"kdump_pre":        hooks,
		"kdump_post":       hooks,
		"kdump_emergency":  hooks,
		"extra_bins":       hooks,
		"dracut_args":      "the image is not built by dracut: remove the line; modules are added with extra_modules",
		"mount_options":    "mount options are not supported yet",
		"fence_kdump_args": hb, "fence_kdump_nodes": hb,
		"force_rebuild": rebuild, "force_no_rebuild": rebuild,
		"auto_reset_crashkernel": "the reservation is never changed by gokdump: set crashkernel= in the boot loader",
		"net":                    old, "options": old, "link_delay": old, "disk_timeout": old + ", and use timeout device",
		"debug_mem_level": old, "blacklist": old,
	}
}

func (p *parser) unknown(word, _ string) {
	if why, ok := peers()[word]; ok {
		p.errorf("%s: %s", word, why)
		return
	}
	p.errorf("unknown word %s%s", clip(word), didYouMean(word, slices.Collect(maps.Keys(words()))))
}

// clip keeps one odd word from filling the terminal.
func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// didYouMean gives a hint that names the known word nearest to s, or nothing
// when none is near.
func didYouMean(s string, known []string) string {
	best, at := "", 3
	if len(s) > 40 {
		return ""
	}
	s = strings.ReplaceAll(strings.ToLower(s), "-", "_")
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(s, k); d < at && d < len(k)/2+1 {
			best, at = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is the number of letters to change, add or drop to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
