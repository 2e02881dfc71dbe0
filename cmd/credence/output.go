package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/nearest"
)

// outputFlag adds -o text|json.
func outputFlag(c *cobra.Command, output *string) {
	c.Flags().VarP(&choice{value: output, known: []string{"text", "json"}}, "output", "o", "text or json")
	*output = "text"
}

// outFlag adds --out FILE.
func outFlag(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "out", "", "`file` to write (default: standard output)")
}

// choice is a flag value that must be one of a few words.
type choice struct {
	value *string
	known []string
}

func (c *choice) String() string { return *c.value }

func (c *choice) Type() string { return "word" }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.known, s) {
		return fmt.Errorf("%q is unknown%s", s, nearest.Hint(s, c.known))
	}
	*c.value = s
	return nil
}

// stamped is a time as all verbs print it and as --since reads it.
func stamped(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// field is a text that an agent may have chosen as one field of a line: in Go's
// quotes where it could be taken for more, or where a terminal would obey it.
func field(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || r == '"' || !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// sentence is text of several words as a line, or the end of one: in Go's quotes
// where it could be taken for more lines, or where a terminal would obey it.
func sentence(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// fields are texts, each as a field.
func fields(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, field(s))
	}
	return out
}

// about is "action on ARN" with the ARN as a field.
func about(denied string) string {
	action, arn, found := strings.Cut(denied, " on ")
	if !found {
		return field(denied)
	}
	return field(action) + " on " + field(arn)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
