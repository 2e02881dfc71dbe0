package main

import (
	"encoding/hex"
	"slices"
	"strings"

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
		Sensitive:      sensitive(catalog, func(o *awsapi.Operation) []string { return o.SensitiveOutput }),
		SensitiveInput: sensitive(catalog, func(o *awsapi.Operation) []string { return o.SensitiveInput }),
		Sets:           sets, Exempt: cfg.Masking.Exempt, Key: key,
	})
}

// sensitive are the model's sensitive members of an operation by their names,
// wherever they stand: names hardly differ between protocols but in case, which
// masks don't look at, while the structures around them do. Where the catalog
// has too many paths to list, the names of all of the service's stand for them.
func sensitive(catalog *awsapi.Catalog, of func(*awsapi.Operation) []string) func(service, operation, protocol string) []string {
	const most = 200 // paths that the catalog lists of an operation
	return func(service, operation, _ string) []string {
		op, err := catalog.Operation(awsapi.OperationID{Service: service, Operation: operation})
		if err != nil {
			return nil
		}
		paths := of(&op)
		if len(paths) >= most {
			all, err := catalog.Operations(service)
			if err != nil {
				return anywhere(paths)
			}
			for i := range all {
				paths = append(paths, of(&all[i])...)
			}
		}
		return anywhere(paths)
	}
}

// anywhere are the last names of paths, at any depth.
func anywhere(paths []string) []string {
	var list []string
	for _, p := range paths {
		name := strings.TrimRight(p[strings.LastIndexByte(p, '.')+1:], "[]{}")
		if name != "" {
			list = append(list, "**."+name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
