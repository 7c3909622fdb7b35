package s3target_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/s3target"
	"github.com/gokdump/gokdump/capture/target/targettest"
	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
)

// config is for a prefix of the test, which is a directory of the server.
func config(t *testing.T, s *s3d.Server) (s3target.Config, string) {
	t.Helper()
	prefix := "fleet/" + strings.NewReplacer("/", "_", " ", "+").Replace(t.Name())
	return s3target.Config{
		Endpoint: s.Endpoint, Bucket: s3d.Bucket, Prefix: prefix, CA: s.CA,
		Credentials: s3target.Credentials{AccessKey: s3d.AccessKey, SecretKey: s3d.SecretKey},
		Timeout:     20 * time.Second, Patience: 20 * time.Second,
	}, filepath.Join(s.Objects, prefix)
}

func connect(t *testing.T, c s3target.Config) target.Target {
	t.Helper()
	tg, err := s3target.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tg.Close() })
	return tg
}

func TestSuite(t *testing.T) {
	for name, tls := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			s := s3d.Start(t, tls)
			targettest.Suite(t, func(t *testing.T) (target.Target, fs.FS) {
				c, path := config(t, s)
				return connect(t, c), os.DirFS(path)
			}, targettest.Traces, targettest.Modes, targettest.Rewriting, targettest.Rereading, targettest.Space)
			if n := s.Uploads(); n != 0 {
				t.Errorf("%d uploads are left", n)
			}
		})
	}
}
