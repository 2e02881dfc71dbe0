package masks

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"sync"

	"github.com/credence-gateway/credence/internal/secret"
)

// ErrToken: what looks like a token was not made by this gateway, or for
// another session or account.
var ErrToken = errors.New("masks: a token of another session, account or gateway")

// Scope is where a token opens.
type Scope struct {
	Session string
	Account string
}

// TokenMaker makes and opens tokens. It is safe for concurrent use.
type TokenMaker struct {
	ring *secret.Ring
}

// NewTokenMaker makes tokens under the keys of a ring.
func NewTokenMaker(ring *secret.Ring) *TokenMaker { return &TokenMaker{ring: ring} }

const tokenPrefix = "crdt-"

var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func (t *TokenMaker) box(s Scope) *secret.Box {
	return t.ring.Box("mask token\x00" + s.Session + "\x00" + s.Account)
}

// Seal returns what writes tokens for values of an operation's answer, which is
// named as "service:Operation".
func (t *TokenMaker) Seal(s Scope, source string) func(dst, value []byte) []byte {
	box := sync.OnceValue(func() *secret.Box { return t.box(s) }) // most answers have nothing to seal
	return func(dst, value []byte) []byte {
		sealed := box().Seal(nil, append(append([]byte(source), 0), value...))
		return tokenText.AppendEncode(append(dst, tokenPrefix...), sealed)
	}
}

// Token is a token found in a text.
type Token struct {
	From, To int    // in the text
	Source   string // "service:Operation" whose answer it comes from
	Value    secret.Secret
}

// Open finds and opens the tokens in a text. One that does not open is
// ErrToken: passing it on would write rubbish in the value's place.
func (t *TokenMaker) Open(s Scope, text []byte) ([]Token, error) {
	var list []Token
	var box *secret.Box
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(tokenPrefix))
		if i < 0 {
			return list, nil
		}
		k := Token{From: at + i}
		k.To = k.From + len(tokenPrefix) + run(text[k.From+len(tokenPrefix):])
		at = k.To
		if k.To-k.From < leastToken {
			continue // a word that begins as a token does
		}
		if box == nil {
			box = t.box(s)
		}
		if err := k.open(box, text[k.From+len(tokenPrefix):k.To]); err != nil {
			return nil, err
		}
		list = append(list, k)
	}
}

// leastToken is the length of the shortest token: of one byte, from "a:B".
const leastToken = len(tokenPrefix) + (32+5)*8/5

// run is how many of a token's characters stand at the start of s.
func run(s []byte) int {
	for i, c := range s {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return i
		}
	}
	return len(s)
}

func (k *Token) open(box *secret.Box, text []byte) error {
	sealed, err := tokenText.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("%w: it is cut", ErrToken)
	}
	plain, err := box.Open(nil, sealed)
	if err != nil {
		return ErrToken
	}
	source, value, ok := bytes.Cut(plain, []byte{0})
	if !ok {
		return ErrToken
	}
	k.Source, k.Value = string(source), secret.New(string(value))
	return nil
}
