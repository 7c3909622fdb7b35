// Command get builds the object store of the tests into the cache, so that they
// need no network.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	path, err := s3d.Build(ctx)
	if err != nil {
		fmt.Fprintf(os.Stderr, "get: error: %v\n", err)
		os.Exit(1)
	}
	fmt.Println(path)
}
