package bodies

import (
	"errors"
	"time"

	"filippo.io/age"
)

// Direction says which message of a call a recording is.
type Direction string

// The messages of a call.
const (
	Request  Direction = "request"
	Response Direction = "response"
)

// MaxRecorded is how many bytes of a body are kept unless a Message says
// otherwise. What is beyond is counted and marked as cut.
const MaxRecorded = 8 << 20

// Errors of the store.
var (
	// ErrPoisoned: a write failed or stalled; the process must be started again.
	ErrPoisoned = errors.New("bodies: recordings can't be written")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("bodies: closed")
	// ErrName: a session or call has a name that can't be part of a path.
	ErrName = errors.New("bodies: bad name")
	// ErrErased: the recording's key was deleted.
	ErrErased = errors.New("bodies: erased")
	// ErrMissing: the pack or the recording in it is gone.
	ErrMissing = errors.New("bodies: missing")
	// ErrTampered: the recording is not what the log says it was.
	ErrTampered = errors.New("bodies: tampered with")
	// ErrConfig: no folder or no recipient.
	ErrConfig = errors.New("bodies: Dir and Recipients must be set")
)

// Config tunes a Store. Dir and Recipients must be set.
type Config struct {
	// Dir is the folder; it is made when it is missing.
	Dir string
	// Recipients can read the recordings: age X25519 or post-quantum keys, KMS
	// keys (NewKMSRecipient). Any one of them is enough.
	Recipients []age.Recipient
	// Remote is where the recordings are shipped to. nil: nowhere.
	Remote Remote
	// PackSize is the size at which a new pack begins, in bytes. Default 64 MiB.
	PackSize int64
	// Stall is how long a write may take before the store is poisoned.
	// Default 2 s.
	Stall time.Duration
	// Sessions is how many sessions' keys are held in memory. One that was
	// dropped gets another key. Default 4,096.
	Sessions int
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

func (c *Config) fill() error {
	if c.Dir == "" || len(c.Recipients) == 0 {
		return ErrConfig
	}
	orDefault(&c.PackSize, 64<<20)
	orDefault(&c.Stall, 2*time.Second)
	orDefault(&c.Sessions, 4096)
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// packAge is the age at which a new pack begins.
const packAge = 10 * time.Minute

func orDefault[T int | int64 | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

// Message is what is recorded.
type Message struct {
	Session   string // whose key encrypts it
	Call      string // of the call that it belongs to
	Direction Direction
	Head      Head
	Limit     int64 // most bytes of body kept; 0 means MaxRecorded
	Days      int   // retention; 0 means DefaultDays
}

// DefaultDays is the retention of recordings that policy doesn't set.
const DefaultDays = 90

// Head is the first line and the headers of a message. Headers that carry a
// credential MUST NOT be in it.
type Head struct {
	Method  string      `json:"method,omitempty"`
	Target  string      `json:"target,omitempty"`
	Status  int         `json:"status,omitempty"`
	Headers [][2]string `json:"headers,omitempty"`
}

// Reference is what a leaf says of a recording: where it lies, and what it
// must be.
type Reference struct {
	Pack       string `json:"pack"`          // "90/20261125T033000Z-1f2e3d4c.pack"
	Stream     uint64 `json:"stream"`        // in the pack
	Key        string `json:"key"`           // "<session>/<id>"
	Commitment string `json:"commitment"`    // hex
	SHA256     string `json:"sha256"`        // hex, of the boxes in order
	Chunks     uint32 `json:"chunks"`        // boxes
	Bytes      int64  `json:"bytes"`         // of body kept
	Cut        bool   `json:"cut,omitempty"` // the body was longer
}
