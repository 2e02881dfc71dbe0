package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/secret"
)

func newMask() *cobra.Command {
	c := &cobra.Command{
		Use:     "mask",
		Short:   "See what masks make of an answer",
		Example: "  credence mask test answer.json --as dynamodb:Query --sets secrets,pii",
		Args:    cobra.NoArgs,
	}
	c.AddCommand(newMaskTest())
	return c
}

type maskFlags struct {
	as, sets, resource, media, protocol string
	rules                               []string
}

func newMaskTest() *cobra.Command {
	var f maskFlags
	c := &cobra.Command{
		Use:   "test FILE",
		Short: "Mask a file as an operation's answer would be",
		Long: `Mask a file ("-" reads the standard input) as the answer of an operation under
the named sets would be masked: credence's own, and those of the configuration
where there is one; and under rules that are tried before they are configured.
The masked answer goes to the standard output, how often each rule masked
something to the standard error. What could not be masked, and would be
withheld, ends with 1.`,
		Example: `  credence mask test answer.json --as dynamodb:Query --sets secrets,pii
  credence mask test answer.json --as dynamodb:Query --rules '**.ssn' --rules 'Items[].card=partial'
  credence mask test people.csv --as s3:GetObject --sets crm --type text/csv --resource arn:aws:s3:::crm/people.csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return maskTest(c, args[0], f) },
	}
	c.Flags().StringVar(&f.as, "as", "", "service:Operation whose answer it is")
	c.Flags().StringVar(&f.sets, "sets", "secrets,pii", "sets of masks, as in @mask")
	c.Flags().StringArrayVar(&f.rules, "rules", nil, "a rule's path, and =action if it is not redact; may be repeated")
	c.Flags().StringVar(&f.resource, "resource", "", "ARN that the call is on, for rules that name one")
	c.Flags().StringVar(&f.media, "type", "", "Content-Type of the answer (default: by its first bytes)")
	c.Flags().Var(&choice{value: &f.protocol, known: protocols}, "protocol", "AWS protocol, for names that differ by it: "+strings.Join(protocols, ", ")+" (default: by its first bytes)")
	return c
}

// protocols are the names that --protocol takes.
var protocols = []string{
	string(awsapi.JSON10), string(awsapi.JSON11), string(awsapi.RESTJSON), string(awsapi.RESTXML), string(awsapi.Query), string(awsapi.EC2), string(awsapi.CBOR),
}

func maskTest(c *cobra.Command, file string, f maskFlags) error {
	service, operation, ok := strings.Cut(f.as, ":")
	if !ok {
		return usageError{errors.New("name the operation: --as service:Operation, such as dynamodb:Query")}
	}
	data, err := readAll(c, file)
	if err != nil {
		return err
	}
	catalog, err := awsapi.Load()
	if err != nil {
		return err
	}
	if err := thereIs(catalog, service, operation); err != nil {
		return usageError{fmt.Errorf("--as: %w", err)}
	}
	op, err := catalog.Operation(awsapi.OperationID{Service: service, Operation: operation})
	if err != nil {
		return err
	}
	cfg := anyConfig(c)
	f.try(cfg)
	m, err := newMasks(cfg, catalog, secret.New("of this test alone, for tokens..."))
	if err != nil {
		return err
	}
	f.complete(data)
	sets := f.named()
	if len(sets) > 1 && slices.Contains(sets, masks.None) {
		return usageError{errors.New("--sets: none stands alone, as in @mask")}
	}
	plan, err := m.Plan(masks.Call{Service: service, Operation: operation, Object: op.StreamsOutput, Resources: []string{f.resource}}, sets)
	if err != nil {
		return usageError{fmt.Errorf("--sets: %w", maskError{err})}
	}
	if plan == "" {
		return fmt.Errorf("nothing of %s is masked: none of these sets has a rule for it (masking.exempt lists operations that are left alone)", f.as)
	}
	built, err := m.Mask(service, operation, f.protocol, plan)
	if err != nil {
		return err
	}
	return f.show(c, built, service, data)
}

// named are the sets of the command line, and that of its rules.
func (f *maskFlags) named() []string {
	sets := strings.Split(f.sets, ",")
	for i := range sets {
		sets[i] = strings.TrimSpace(sets[i])
	}
	if len(f.rules) > 0 {
		sets = append(sets, tried)
	}
	return sets
}

// tried is the set of the rules of the command line.
const tried = "--rules"

// try puts the rules of the command line into a set of their own.
func (f *maskFlags) try(cfg *config.Config) {
	if len(f.rules) == 0 {
		return
	}
	set := config.MaskSet{Name: tried}
	for _, r := range f.rules {
		path, action, _ := strings.Cut(r, "=")
		set.Rules = append(set.Rules, config.MaskRule{At: f.as + ":" + path, Action: action})
	}
	cfg.Masking.Sets = append(cfg.Masking.Sets, set)
}

// complete guesses what was not said from the answer's first bytes.
func (f *maskFlags) complete(data []byte) {
	isXML := bytes.HasPrefix(bytes.TrimSpace(data), []byte("<"))
	switch {
	case f.protocol != "":
	case isXML && strings.HasPrefix(f.as, "ec2:"):
		f.protocol = string(awsapi.EC2)
	case isXML && strings.HasPrefix(f.as, "s3"):
		f.protocol = string(awsapi.RESTXML)
	case isXML:
		f.protocol = string(awsapi.Query)
	default:
		f.protocol = string(awsapi.JSON11)
	}
	if f.media == "" && isXML {
		f.media = "text/xml"
	}
}

func (f *maskFlags) show(c *cobra.Command, m *mask.Mask, service string, data []byte) error {
	s, err := masks.Stream(m, masks.Answer{Type: f.media, Service: service})
	if err != nil {
		return fmt.Errorf("it would be withheld: %w", maskError{err})
	}
	out, err := s.Append(nil, data)
	if err == nil {
		out, err = s.Finish(out)
	}
	if err != nil {
		return fmt.Errorf("it would be withheld: %w", maskError{err})
	}
	if _, err := c.OutOrStdout().Write(out); err != nil {
		return err
	}
	counts := s.Counts()
	if len(counts) == 0 {
		fmt.Fprintln(c.ErrOrStderr(), "nothing in it is masked")
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(c.ErrOrStderr(), "%s: %d\n", name, counts[name])
	}
	return nil
}

func readAll(c *cobra.Command, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(c.InOrStdin())
	}
	return os.ReadFile(file)
}
