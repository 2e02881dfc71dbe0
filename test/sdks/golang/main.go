// Command golang runs the grid's steps with the AWS SDK for Go: see
// ../grid_test.go.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
)

// agent is what every step works with.
type agent struct {
	cfg  aws.Config
	name string // of its resources
}

// step returns what it got.
type step struct {
	name string
	run  func(context.Context, *agent) (string, error)
}

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	a := &agent{cfg: cfg, name: os.Getenv("GRID_NAME")}
	suite := steps
	switch os.Args[1] {
	case "refused":
		for _, s := range refused {
			_, err := s.run(ctx, a)
			refusal(s.name, err)
		}
		return
	case "login":
		suite = []step{{"sts identity", identity}}
	}
	for _, s := range suite {
		got, err := s.run(ctx, a)
		if err != nil {
			show(s.name, "failed", err.Error(), "")
		} else {
			show(s.name, "ok", got, "")
		}
	}
}

func refusal(name string, err error) {
	var api smithy.APIError
	if errors.As(err, &api) {
		show(name, "ok", api.ErrorCode(), api.ErrorMessage())
	} else {
		show(name, "failed", fmt.Sprint("not refused: ", err), "")
	}
}

func show(fields ...string) {
	for i := range fields {
		fields[i] = strings.NewReplacer("\n", " ", "\t", " ").Replace(fields[i])
	}
	fmt.Println(strings.Join(fields, "\t"))
}

func same(got, want any) error {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
