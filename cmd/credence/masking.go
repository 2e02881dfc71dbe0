package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/nearest"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/policies"
)

// maskSets are the names that policies may put into @mask.
func maskSets(cfg *config.Config) []string {
	names := []string{masks.Keys, masks.Secrets, masks.PII, masks.Tokens, masks.None}
	for _, set := range cfg.Masking.Sets {
		names = append(names, set.Name)
	}
	return names
}

// openMasks compiles the configured masks.
func (u *unit) openMasks() error {
	box := u.ring.Box("mask")
	key, _ := box.Derive(box.KeyID(), "values") // the ring has its own key
	var err error
	u.masks, err = newMasks(u.cfg, u.catalog, secret.New(hex.EncodeToString(key)))
	if err != nil {
		return err
	}
	u.tokens = masks.NewTokenMaker(u.ring)
	if u.bodies != nil {
		u.recorder = &recorder.Recorder{Begin: u.bodies.Begin, Masks: u.masks, Limit: int64(u.cfg.Recording.Limit), Days: u.cfg.Recording.Days}
	}
	return nil
}

// newMasks compiles the masks of a configuration. Its errors are sentences about
// the file's masking.
func newMasks(cfg *config.Config, catalog *awsapi.Catalog, key secret.Secret) (*masks.Masks, error) {
	if err := checkMasking(cfg, catalog); err != nil {
		return nil, fmt.Errorf("masking: %w", err)
	}
	sets := map[string][]masks.Rule{}
	for _, set := range cfg.Masking.Sets {
		sets[set.Name] = []masks.Rule{}
		for i, r := range set.Rules {
			if err := checkAsked(r.Approval); err != nil {
				return nil, fmt.Errorf("masking.sets %s, rule %d: approval: %q %w", set.Name, i+1, r.Approval, err)
			}
			sets[set.Name] = append(sets[set.Name], masks.Rule(r))
		}
	}
	m, err := masks.New(masks.Config{
		Sensitive: sensitive(catalog.SensitiveOut), SensitiveInput: sensitive(catalog.SensitiveIn), Sets: sets, Exempt: cfg.Masking.Exempt, Key: key,
	})
	if err != nil {
		return nil, fmt.Errorf("masking: %w", maskError{err})
	}
	return m, nil
}

// checkAsked reads whom a detector asks. Its error is what is wrong with the text,
// to stand behind it.
func checkAsked(text string) error {
	if text == "" {
		return nil
	}
	q, err := policies.ParseApproval(text)
	if err == nil && !strings.HasPrefix(q.Group, local+"|") {
		err = errors.New("names a group of an issuer, which can't approve yet: name one of this host, such as group:local|sre:1")
	}
	return err
}

// maskError says what is wrong with a rule, a set or a body without naming the
// rooms that found it.
type maskError struct{ error }

func (e maskError) Unwrap() error { return e.error }

func (e maskError) Error() string {
	text := e.error.Error()
	for _, kind := range []error{masks.ErrConfig, mask.ErrConfig} {
		text = strings.ReplaceAll(text, kind.Error()+": ", "")
	}
	return strings.TrimPrefix(text, "mask: ")
}

// checkMasking refuses rules of services and operations that there are not: they
// would never mask anything.
func checkMasking(cfg *config.Config, catalog *awsapi.Catalog) error {
	for _, set := range cfg.Masking.Sets {
		for i, r := range set.Rules {
			if r.At == "" {
				continue
			}
			parts := strings.SplitN(r.At, ":", 3)
			if err := thereIs(catalog, parts[0], parts[1]); err != nil {
				return fmt.Errorf("set %s, rule %d: %w", set.Name, i+1, err)
			}
		}
	}
	for _, name := range cfg.Masking.Exempt {
		service, operation, _ := strings.Cut(name, ":")
		if err := thereIs(catalog, service, operation); err != nil {
			return fmt.Errorf("exempt: %w", err)
		}
	}
	return nil
}

// thereIs looks for an operation, and has the nearest name for one that there is
// not. Names with "*" are taken as they are.
func thereIs(catalog *awsapi.Catalog, service, operation string) error {
	if strings.Contains(service, "*") {
		return nil
	}
	if _, ok := catalog.Service(service); !ok {
		var ids []string
		for _, s := range catalog.Services() {
			ids = append(ids, s.ID)
		}
		return fmt.Errorf("there is no service %q%s", service, nearest.Hint(service, ids))
	}
	list, err := catalog.Operations(service)
	if err != nil || strings.Contains(operation, "*") {
		return err
	}
	var names []string
	for i := range list {
		names = append(names, list[i].OperationID.Operation)
	}
	if !slices.Contains(names, operation) {
		return fmt.Errorf("%s has no operation %q%s", service, operation, nearest.Hint(operation, names))
	}
	return nil
}

// sensitive asks the catalog for paths. An operation that it does not know was
// refused before anybody asks.
func sensitive(of func(awsapi.OperationID, awsapi.Protocol) ([]string, error)) func(service, operation, protocol string) []string {
	return func(service, operation, protocol string) []string {
		paths, err := of(awsapi.OperationID{Service: service, Operation: operation}, awsapi.Protocol(protocol))
		if err != nil {
			return []string{"{}"} // all of it
		}
		return paths
	}
}
