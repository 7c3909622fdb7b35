// Package crypt encrypts what a capture saves to the public keys of those who may
// read it, in the format of age (age-encryption.org/v1). The private keys are never
// on the machine that crashes.
//
// age's payload is a row of chunks of 64 KiB, each sealed with ChaCha20-Poly1305
// under a nonce that is the chunk's number and whether it is the last one. Two
// different texts under one nonce would give both away, so a chunk can be sealed
// once only. A dump is not written front to back: its descriptors are filled in all
// the time, and its header last. [File] therefore holds a chunk back until it is
// final; what of it must leave memory before that lies in the chunk's own place in
// the file, sealed under a second key, with a nonce that counts its versions, and
// that key is never written anywhere. The file in the end is one that age(1)
// decrypts into the very bytes that were written.
//
// The package owns that, and how recipients are written. It never decides what is
// encrypted (package capture does) nor where it goes (package target). Facts:
// https://age-encryption.org/v1 (C2SP), RFC 8439; the header with its stanzas is
// filippo.io/age's work.
package crypt

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/chacha20poly1305"
)

// Suffix is what follows the name of an encrypted file.
const Suffix = ".age"

// Sizes in age's payload, in bytes.
const (
	chunkSize  = 64 << 10
	slotSize   = chunkSize + chacha20poly1305.Overhead
	saltSize   = 16 // between header and payload
	streamInfo = "payload"
)

// ParseRecipient reads one public key: age1…, age1pq1… (hybrid, safe from quantum
// computers), or a line of an SSH public key, ssh-ed25519 or ssh-rsa.
func ParseRecipient(s string) (age.Recipient, error) {
	s = strings.TrimSpace(s)
	var r age.Recipient
	var err error
	switch {
	case strings.HasPrefix(s, "AGE-SECRET-KEY-"):
		return nil, errors.New("recipient: this is a private key: it belongs to whoever reads dumps, and never onto the machine; give the public one, age1…")
	case strings.HasPrefix(s, "age1pq1"):
		r, err = age.ParseHybridRecipient(s)
	case strings.HasPrefix(s, "age1"):
		r, err = age.ParseX25519Recipient(s)
	case strings.HasPrefix(s, "ssh-"):
		r, err = agessh.ParseRecipient(s)
	default:
		err = errors.New("want age1…, ssh-ed25519 … or ssh-rsa …")
	}
	if err != nil {
		return nil, fmt.Errorf("recipient %.24q: %w", s, err)
	}
	return r, nil
}

// ParseRecipients reads public keys and tells whether one file can be encrypted to
// all of them: hybrid keys cannot stand beside others, which would undo them.
func ParseRecipients(keys []string) ([]age.Recipient, error) {
	if len(keys) == 0 {
		return nil, errors.New("recipients: there is none")
	}
	var all []age.Recipient
	hybrid := 0
	for _, k := range keys {
		r, err := ParseRecipient(k)
		if err != nil {
			return nil, err
		}
		if _, ok := r.(*age.HybridRecipient); ok {
			hybrid++
		}
		all = append(all, r)
	}
	if hybrid != 0 && hybrid != len(all) {
		return nil, fmt.Errorf("recipients: %d of %d keys are hybrid (age1pq1…): a file for keys of both kinds would be no safer than the weaker kind, so age allows it for neither", hybrid, len(all))
	}
	return all, nil
}

// keyTap is a recipient that remembers the file key that age made.
type keyTap struct {
	age.Recipient
	key *[]byte
}

func (k keyTap) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	*k.key = bytes.Clone(fileKey)
	return k.Recipient.Wrap(fileKey)
}

// WrapWithLabels lets age compare the kinds of the recipients.
func (k keyTap) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	r, ok := k.Recipient.(age.RecipientWithLabels)
	if !ok {
		s, err := k.Wrap(fileKey)
		return s, nil, err
	}
	*k.key = bytes.Clone(fileKey)
	return r.WrapWithLabels(fileKey)
}

// begin makes a file's header, salt included, and the cipher of its payload.
func begin(to []age.Recipient) (head []byte, payload cipher.AEAD, err error) {
	var fileKey []byte
	taps := make([]age.Recipient, len(to))
	for i, r := range to {
		taps[i] = keyTap{r, &fileKey}
	}
	var b bytes.Buffer
	if _, err := age.Encrypt(&b, taps...); err != nil { // not closed: the payload is ours
		return nil, nil, fmt.Errorf("encrypt: %w", err)
	}
	salt := b.Bytes()[b.Len()-saltSize:]
	key, err := hkdf.Key(sha256.New, fileKey, salt, streamInfo, chacha20poly1305.KeySize)
	if err != nil {
		return nil, nil, fmt.Errorf("encrypt: %w", err)
	}
	if payload, err = chacha20poly1305.New(key); err != nil {
		return nil, nil, fmt.Errorf("encrypt: %w", err)
	}
	return b.Bytes(), payload, nil
}

// draftCipher makes a cipher whose key nobody ever learns.
func draftCipher() (cipher.AEAD, error) {
	key := make([]byte, chacha20poly1305.KeySize)
	rand.Read(key) // never fails
	return chacha20poly1305.New(key)
}
