package recorder

import (
	"context"
	"errors"
	"io/fs"

	"filippo.io/age"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
)

// Check compares the recordings in a folder, or in a copy of one, with their
// leaves, for audit.VerifyConfig. One whose key is gone can't be opened by
// anybody: it counts as absent. With identities each is opened too, so that a
// key that was changed is found; without, keys are only looked for.
func Check(dir fs.FS, identities ...age.Identity) func(context.Context, string, string, audit.Recording) error {
	reader := bodies.NewReaderFS(dir, identities...)
	return func(_ context.Context, call, direction string, r audit.Recording) error {
		ref := bodies.Reference(r)
		err := reader.Check(ref)
		if errors.Is(err, bodies.ErrMissing) || err == nil && reader.Erased(ref) {
			return audit.ErrNoBody
		}
		if err == nil && len(identities) > 0 {
			_, err = reader.Read(call, bodies.Direction(direction), ref)
		}
		return err
	}
}
