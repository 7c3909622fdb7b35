// Package getopt parses a command line as getopt_long(3) of the GNU C library
// does, for the commands that stand in for a program that uses it.
//
// It owns the syntax alone: short options in one word (-ld31), arguments behind
// or in the word of an option, long options cut to what is unique, options after
// operands, "--". It never knows what an option means. Facts: getopt_long(3).
package getopt

import (
	"fmt"
	"slices"
	"strings"
)

// Option is one option that there is.
type Option struct {
	Long  string // without dashes; "" for none
	Short byte   // 0 for none
	Arg   bool   // it needs an argument
}

// Name is how to write the option: --long, or -s when it has no other name.
func (o *Option) Name() string {
	if o.Long != "" {
		return "--" + o.Long
	}
	return "-" + string(o.Short)
}

// Given is one option of a command line.
type Given struct {
	*Option
	Value string // the argument; "" when the option has none
}

// Parse takes a command line apart: options in their order, and what is no
// option. The error says which option is unknown, ambiguous, or lacks its
// argument or has one too many.
func Parse(options []Option, args []string) (given []Given, operands []string, err error) {
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		var got []Given
		switch {
		case word == "--":
			return given, append(operands, args...), nil
		case strings.HasPrefix(word, "--"):
			got, args, err = long(options, word[2:], args)
		case strings.HasPrefix(word, "-") && word != "-":
			got, args, err = short(options, word[1:], args)
		default:
			operands = append(operands, word)
		}
		if err != nil {
			return nil, nil, err
		}
		given = append(given, got...)
	}
	return given, operands, nil
}

// long takes an option word without its dashes.
func long(options []Option, word string, args []string) ([]Given, []string, error) {
	name, value, has := strings.Cut(word, "=")
	o, err := find(options, name)
	switch {
	case err != nil:
		return nil, nil, err
	case has && !o.Arg:
		return nil, nil, fmt.Errorf("option --%s takes no argument", o.Long)
	case !has && o.Arg && len(args) == 0:
		return nil, nil, fmt.Errorf("option --%s needs an argument", o.Long)
	case !has && o.Arg:
		value, args = args[0], args[1:]
	}
	return []Given{{o, value}}, args, nil
}

// find gives the option of that name, or the only one that begins with it.
func find(options []Option, name string) (*Option, error) {
	var match []*Option
	for i := range options {
		switch o := &options[i]; {
		case o.Long == "":
		case o.Long == name:
			return o, nil
		case strings.HasPrefix(o.Long, name):
			match = append(match, o)
		}
	}
	switch len(match) {
	case 0:
		return nil, fmt.Errorf("unknown option --%s", name)
	case 1:
		return match[0], nil
	}
	var names []string
	for _, o := range match {
		names = append(names, "--"+o.Long)
	}
	return nil, fmt.Errorf("option --%s is ambiguous: %s", name, strings.Join(names, ", "))
}

// short takes a word of one-letter options without its dash.
func short(options []Option, word string, args []string) (given []Given, _ []string, err error) {
	for word != "" {
		c := word[0]
		word = word[1:]
		i := slices.IndexFunc(options, func(o Option) bool { return o.Short == c })
		if i < 0 {
			return nil, nil, fmt.Errorf("unknown option -%c", c)
		}
		g := Given{Option: &options[i]}
		if g.Arg {
			switch {
			case word != "":
				g.Value, word = word, ""
			case len(args) > 0:
				g.Value, args = args[0], args[1:]
			default:
				return nil, nil, fmt.Errorf("option -%c needs an argument", c)
			}
		}
		given = append(given, g)
	}
	return given, args, nil
}
