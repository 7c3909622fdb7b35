package config

import (
	"slices"
	"strings"
)

// collector takes core_collector. Only makedumpfile's own words for level and
// compression mean something here: the work is done by gokdump itself.
// The options are those of makedumpfile(8), bundled or with = as getopt allows.
func (p *parser) collector(_, value string) {
	if !p.collectorWord("core_collector") {
		return
	}
	f := strings.Fields(value)
	if name := f[0]; name != "makedumpfile" {
		p.errorf("core_collector %s is not supported: only makedumpfile's options are understood, and carried out by gokdump itself", name)
		return
	}
	c := collector{p: p, args: f[1:]}
	c.run()
	// makedumpfile's own defaults, not ours: the line says all.
	p.cfg.Level, p.cfg.Codec, p.cfg.Workers = c.level, "none", c.workers
	if c.codec != "" {
		p.cfg.Codec = c.codec
	}
}

type collector struct {
	p       *parser
	args    []string
	level   int
	codec   string
	workers int
	seen    []string
}

func (c *collector) run() {
	for len(c.args) > 0 {
		arg := c.args[0]
		c.args = c.args[1:]
		switch {
		case strings.HasPrefix(arg, "--") && len(arg) > 2:
			name, value, has := strings.Cut(arg, "=")
			c.long(name, value, has)
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			c.short(arg[1:])
		default:
			c.p.errorf("core_collector: %s: file names are not given here", arg)
		}
	}
}

func (c *collector) long(name, value string, has bool) {
	switch name {
	case "--message-level":
		if v, ok := c.value(name, value, has); ok {
			if _, ok := c.p.number(name, v, 0, 31); ok {
				c.p.notef("core_collector: --message-level has no effect: gokdump reports progress by itself")
			}
		}
	case "--num-threads":
		if v, ok := c.value(name, value, has); ok {
			c.workers, _ = c.p.number(name, v, 0, 4096)
		}
	default:
		c.unknown(name)
	}
}

func (c *collector) short(cluster string) {
	codecs := map[byte]string{'c': "zlib", 'l': "lzo", 'p': "snappy", 'z': "zstd"}
	for i := range len(cluster) {
		o := cluster[i]
		switch {
		case codecs[o] != "":
			if c.codec != "" {
				c.p.errorf("core_collector: -%c asks for %s, but %s was asked for before", o, codecs[o], c.codec)
			}
			c.codec = codecs[o]
		case o == 'd':
			rest := cluster[i+1:]
			if v, ok := c.value("-d", rest, rest != ""); ok {
				first, more, several := strings.Cut(v, ",")
				if several {
					c.p.notef("core_collector: -d %s: only level %s is used, not %s", v, first, more)
				}
				c.level, _ = c.p.number("core_collector: -d", first, 0, 31)
			}
			return
		case o == 'F':
			c.p.errorf("core_collector: -F writes the flattened form for a pipe, which a dump on a disk does not need: leave it out")
		case o == 'E':
			c.p.errorf("core_collector: -E (ELF format) is not supported: leave it out; the dump is in the kdump-compressed format")
		default:
			c.unknown("-" + cluster[i:])
			return
		}
	}
}

// value gives the argument of option name: its own (after = or in the cluster), or
// the next word. It complains about a missing one and a doubled option.
func (c *collector) value(name, own string, has bool) (string, bool) {
	if slices.Contains(c.seen, name) {
		c.p.errorf("core_collector: %s is given twice", name)
	}
	c.seen = append(c.seen, name)
	if !has && len(c.args) > 0 {
		own, c.args = c.args[0], c.args[1:]
	}
	if own == "" {
		c.p.errorf("core_collector: %s has no value", name)
		return "", false
	}
	return own, true
}

func (c *collector) unknown(name string) {
	c.p.errorf("core_collector: option %s is not supported: known are -c, -l, -p, -z, -d, --num-threads and --message-level", name)
}
