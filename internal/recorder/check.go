package recorder

import (
	"context"
	"errors"
	"io/fs"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
)

// Check compares the recordings in a folder, or in a copy of one, with their
// leaves, without opening them, for audit.VerifyConfig. One whose key is gone
// can't be opened by anybody: it counts as absent.
func Check(dir fs.FS) func(context.Context, string, string, audit.Recording) error {
	reader := bodies.NewReaderFS(dir)
	return func(_ context.Context, _, _ string, r audit.Recording) error {
		ref := bodies.Reference(r)
		err := reader.Check(ref)
		if errors.Is(err, bodies.ErrMissing) || err == nil && reader.Erased(ref) {
			return audit.ErrNoBody
		}
		return err
	}
}
