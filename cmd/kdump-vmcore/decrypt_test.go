package main

import (
	"io"
	"os"
	"strconv"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdKeygen: keygen FILE [PUBLIC] makes a private key, as age-keygen does.
func cmdKeygen(ts *testscript.TestScript, neg bool, args []string) {
	id, err := age.GenerateX25519Identity()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("# a key\n"+id.String()+"\n"), 0o600))
	if len(args) > 1 {
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(id.Recipient().String()+"\n"), 0o600))
	}
}

// cmdEncrypt: encrypt PUBLIC IN OUT does what age does.
func cmdEncrypt(ts *testscript.TestScript, neg bool, args []string) {
	public, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer public.Close()
	to, err := age.ParseRecipients(public)
	ts.Check(err)
	in, err := os.Open(ts.MkAbs(args[1]))
	ts.Check(err)
	defer in.Close()
	out, err := os.Create(ts.MkAbs(args[2]))
	ts.Check(err)
	defer out.Close()
	w, err := age.Encrypt(out, to...)
	ts.Check(err)
	_, err = io.Copy(w, in)
	ts.Check(err)
	ts.Check(w.Close())
}

// cmdMode: mode FILE OCTAL checks a file's permissions.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	st, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(st.Mode().Perm()), 8); got != args[1] {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}
