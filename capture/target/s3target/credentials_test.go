package s3target

import (
	"strings"
	"testing"
)

func TestParseCredentials(t *testing.T) {
	const file = `# comment
[default]
aws_access_key_id = AKIA1
aws_secret_access_key=se/cr+et==
region = eu-west-1

[ other ]
aws_access_key_id=AKIA2
aws_secret_access_key=s2
aws_session_token=t2
[profile third]
role_arn = arn:x
`
	for _, tt := range []struct {
		text, profile string
		want          Credentials
		err           string
	}{
		{file, "", Credentials{"AKIA1", "se/cr+et==", ""}, ""},
		{strings.ReplaceAll(file, "\n", "\r\n"), "other", Credentials{"AKIA2", "s2", "t2"}, ""},
		{file, "third", Credentials{}, "lacks aws_access_key_id"},
		{file, "fourth", Credentials{}, "no profile [fourth]"},
		{"", "", Credentials{}, "no profile"},
		{"[default", "", Credentials{}, "line 1"},
		{"[default]\nsecret without name", "", Credentials{}, "line 2"},
		{"[default]\naws_access_key_id=a b\naws_secret_access_key=c", "", Credentials{}, "blanks"},
	} {
		got, err := ParseCredentials([]byte(tt.text), tt.profile)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%.30q [%s]: %+v, %v", tt.text, tt.profile, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret without") {
			t.Error("the error tells a line of the file")
		}
	}
}

func FuzzParseCredentials(f *testing.F) {
	f.Add([]byte("[default]\naws_access_key_id=a\naws_secret_access_key=b\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := ParseCredentials(text, ""); err == nil && (c.AccessKey == "" || c.SecretKey == "") {
			t.Errorf("%+v of %q", c, text)
		}
	})
}
