package main

import (
	"encoding/hex"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/secret"
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

func newMasks(cfg *config.Config, catalog *awsapi.Catalog, key secret.Secret) (*masks.Masks, error) {
	sets := map[string][]masks.Rule{}
	for _, set := range cfg.Masking.Sets {
		sets[set.Name] = []masks.Rule{}
		for _, r := range set.Rules {
			sets[set.Name] = append(sets[set.Name], masks.Rule(r))
		}
	}
	return masks.New(masks.Config{
		Sensitive: sensitive(catalog.SensitiveOut), SensitiveInput: sensitive(catalog.SensitiveIn), Sets: sets, Exempt: cfg.Masking.Exempt, Key: key,
	})
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
