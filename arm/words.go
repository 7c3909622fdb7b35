package arm

import (
	"errors"
	"strings"
)

// word is one argument of a kernel command line.
type word struct {
	text  string // as written, quotes included and balanced
	key   string // the part before =, unquoted, with - turned into _
	value string // the part after =, unquoted
}

// splitCmdline cuts a command line as the kernel does (next_arg in
// lib/cmdline.c): at white space outside double quotes. What follows a lone --
// is for init and comes in rest, as written.
func splitCmdline(line string) (words []word, rest string, err error) {
	if strings.ContainsRune(line, 0) {
		return nil, "", errors.New("a command line holds a NUL byte")
	}
	for i := 0; i < len(line); {
		if isSpace(line[i]) {
			i++
			continue
		}
		start, quoted := i, false
		for ; i < len(line) && (quoted || !isSpace(line[i])); i++ {
			if line[i] == '"' {
				quoted = !quoted
			}
		}
		text := line[start:i]
		if text == "--" {
			return words, strings.TrimSpace(line[i:]), nil
		}
		if quoted { // an open quote would swallow what we append
			text += `"`
		}
		words = append(words, makeWord(text))
	}
	return words, "", nil
}

// makeWord takes a balanced word apart.
func makeWord(text string) word {
	plain := text
	if strings.HasPrefix(plain, `"`) { // "key=a b": the quotes hold the whole word
		plain = strings.TrimSuffix(plain[1:], `"`)
	}
	key, value, _ := strings.Cut(plain, "=")
	value = strings.TrimPrefix(value, `"`)
	return word{
		text:  text,
		key:   canonical(key),
		value: strings.TrimSuffix(value, `"`),
	}
}

// canonical gives a parameter's name as the kernel compares it: - and _ are the
// same.
func canonical(key string) string { return strings.ReplaceAll(key, "-", "_") }

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func joinWords(words []word) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.text
	}
	return strings.Join(texts, " ")
}
