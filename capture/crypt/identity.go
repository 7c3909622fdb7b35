package crypt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// maxKeys bounds a file of private keys, in bytes.
const maxKeys = 1 << 20

// ErrNoKey is wrapped by the error of [Decrypt] when none of the keys opens a file.
var ErrNoKey = errors.New("none of the private keys opens it")

// ParseIdentities reads private keys: the lines of age-keygen's file, or one private
// key of SSH without a passphrase.
func ParseIdentities(r io.Reader) ([]age.Identity, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxKeys+1))
	if err != nil {
		return nil, fmt.Errorf("private keys: %w", err)
	}
	switch {
	case len(text) > maxKeys:
		return nil, fmt.Errorf("private keys: more than %d bytes: this is no file of keys", maxKeys)
	case bytes.HasPrefix(text, []byte("age-encryption.org/")), bytes.HasPrefix(text, []byte("-----BEGIN AGE")):
		return nil, errors.New("private keys: the file is encrypted itself: decrypt it with age -d, and give its text with -i -")
	case bytes.HasPrefix(text, []byte("-----BEGIN")):
		id, err := agessh.ParseIdentity(text)
		if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
			return nil, errors.New("private keys: the SSH key has a passphrase: decrypt with age -d -i KEYFILE, which asks for it")
		}
		if err != nil {
			return nil, fmt.Errorf("private keys: %w", err)
		}
		return []age.Identity{id}, nil
	}
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		if strings.Contains(string(text), "age1") && !strings.Contains(string(text), "AGE-SECRET-KEY-") {
			return nil, errors.New("private keys: these are public keys: the private ones start with AGE-SECRET-KEY-")
		}
		return nil, fmt.Errorf("private keys: %w", err)
	}
	return ids, nil
}

// Decrypt gives the text of an encrypted file. A file that was changed or cut short
// ends in an error of the reader's.
func Decrypt(r io.Reader, ids []age.Identity) (io.Reader, error) {
	text, err := age.Decrypt(r, ids...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("%w: it is for keys of the kind %s", ErrNoKey, strings.Join(none.StanzaTypes, ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	return text, nil
}
