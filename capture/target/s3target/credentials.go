package s3target

import (
	"fmt"
	"strings"
)

// Credentials is a key. Token is empty for one that does not end by itself.
type Credentials struct{ AccessKey, SecretKey, Token string }

// ParseCredentials reads an AWS credentials file, the one at ~/.aws/credentials, and
// gives the keys of a profile; "" means "default". Only keys that stand in the file
// are known; a profile that names a role or a program is an error.
func ParseCredentials(text []byte, profile string) (Credentials, error) {
	if profile == "" {
		profile = "default"
	}
	var c Credentials
	var found bool
	in := false
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			name, ok := strings.CutSuffix(line[1:], "]")
			if !ok {
				return c, fmt.Errorf("credentials line %d: %q is no [profile]", i+1, clip(line))
			}
			name = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), "profile "))
			in = name == profile
			found = found || in
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return c, fmt.Errorf("credentials line %d: want NAME = VALUE", i+1) // the line may be secret
		}
		if !in {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "aws_access_key_id":
			c.AccessKey = value
		case "aws_secret_access_key":
			c.SecretKey = value
		case "aws_session_token":
			c.Token = value
		}
	}
	switch {
	case !found:
		return Credentials{}, fmt.Errorf("credentials: there is no profile [%s]", clip(profile))
	case c.AccessKey == "" || c.SecretKey == "":
		return Credentials{}, fmt.Errorf("credentials: profile [%s] lacks aws_access_key_id or aws_secret_access_key: keys must stand in the file, the crash kernel cannot ask for others", clip(profile))
	}
	for _, s := range []string{c.AccessKey, c.SecretKey, c.Token} {
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return Credentials{}, fmt.Errorf("credentials: profile [%s] has a key with blanks or odd characters", clip(profile))
		}
	}
	return c, nil
}

func clip(s string) string { return s[:min(len(s), 60)] }
