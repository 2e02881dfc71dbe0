package bodies

import (
	"errors"
	"os"
	"syscall"
)

// datasync makes a file's data durable (fdatasync(2)).
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
