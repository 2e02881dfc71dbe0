package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/nearest"
)

// outputFlag adds -o text|json.
func outputFlag(c *cobra.Command, output *string) {
	c.Flags().VarP(&choice{value: output, known: []string{"text", "json"}}, "output", "o", "text or json")
	*output = "text"
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

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
