package login

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode"
	"unicode/utf8"
)

// claims are a token's claims by their exact names. The standard library
// matches struct members without regard to case and takes the last of several,
// so that whoever may choose a claim "SUB" would choose the subject.
type claims map[string]json.RawMessage

var errClaims = errors.New("login: the claims are not one JSON object of distinct names")

// readClaims reads a JSON object strictly.
func readClaims(payload []byte) (claims, error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') || !utf8.Valid(payload) {
		return nil, errClaims
	}
	c := claims{}
	for dec.More() {
		if err := c.readOne(dec); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, errClaims
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errClaims
	}
	return c, nil
}

func (c claims) readOne(dec *json.Decoder) error {
	t, err := dec.Token()
	if err != nil {
		return errClaims
	}
	name, ok := t.(string)
	if _, twice := c[name]; !ok || twice {
		return errClaims
	}
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		return errClaims
	}
	c[name] = value
	return nil
}

// has reports whether the claim is there and not null.
func (c claims) has(name string) bool {
	raw, ok := c[name]
	return ok && string(raw) != "null"
}

// text returns a claim that is a string.
func (c claims) text(name string) (string, bool) {
	var s string
	if !c.has(name) || json.Unmarshal(c[name], &s) != nil {
		return "", false
	}
	return s, true
}

// texts returns a claim that is a list of strings, or one string.
func (c claims) texts(name string) ([]string, bool) {
	if one, ok := c.text(name); ok {
		return []string{one}, true
	}
	var list []*string
	if !c.has(name) || json.Unmarshal(c[name], &list) != nil {
		return nil, false
	}
	all := make([]string, len(list))
	for i, s := range list {
		if s == nil {
			return nil, false
		}
		all[i] = *s
	}
	return all, true
}

// time returns a NumericDate (RFC 7519, section 2) in seconds. One that no
// clock will ever show is no date.
func (c claims) time(name string) (float64, bool) {
	var n float64
	if !c.has(name) || json.Unmarshal(c[name], &n) != nil || n <= 0 || n > 1<<40 {
		return 0, false
	}
	return n, true
}

// printable reports whether s can name somebody in policies and records.
func printable(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
