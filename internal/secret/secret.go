// Package secret holds values that must never be printed, and the key ring
// that derives and seals them.
package secret

import "fmt"

// Secret is a string that prints as [redacted] under every fmt verb, in JSON,
// in YAML and in logs. Only Reveal gives the value.
//
// The value is behind a pointer, for fmt prints unexported fields of other
// structs without asking their methods: it then prints an address.
type Secret struct{ value *string }

// New wraps value.
func New(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal returns the value. Call it only where the value is used, never where
// it is shown.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.value == nil }

const redacted = "[redacted]"

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format prints "[redacted]" whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
