package mask

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/credence-gateway/credence/internal/secret"
)

// Errors of a stream. After either, nothing more of the body may be released.
var (
	// ErrFormat: the body is not what its format says.
	ErrFormat = errors.New("mask: the body can't be parsed")
	// ErrBound: a part of the body is larger than may be held.
	ErrBound = errors.New("mask: a part of the body is too large")
	// ErrBlocked: a rule with the action Block selected something.
	ErrBlocked = errors.New("mask: a rule blocks the body")
	// ErrConfig: a rule or a detector is wrong.
	ErrConfig = errors.New("mask: bad rule")
)

// Action is what becomes of what is selected.
type Action int8

// The actions, from the mildest to the strictest.
const (
	Seal   Action = iota - 1
	Redact        // the zero value
	Token
	Partial
	Null
	Drop
	Block
)

var actions = map[string]Action{"seal": Seal, "redact": Redact, "token": Token, "partial": Partial, "null": Null, "drop": Drop, "block": Block}

// ParseAction reads an action's name.
func ParseAction(name string) (Action, error) {
	a, ok := actions[name]
	if !ok {
		return 0, fmt.Errorf("%w: %q is no action: redact, token, partial, null, drop or block", ErrConfig, name)
	}
	return a, nil
}

// Kind is what a selected text stands for.
type Kind uint8

// The kinds of text.
const (
	Text    Kind = iota
	Blob         // base64 of bytes
	Number       // digits in a string
	open         // the format doesn't tell: text, base64 or a time
	untyped      // ... or a number or a boolean, in XML
)

// Rule selects by path.
type Rule struct {
	Name   string // in counts; default: the path
	Path   string
	Kind   Kind // Text also where it is not known
	Action Action
}

// Detection turns a detector on.
type Detection struct {
	Name    string // of a built-in detector or a set: "secrets", "pii"; or of Pattern
	Pattern string // RE2; "" for a built-in one
	Action  Action
}

// Config says what is masked.
type Config struct {
	Rules      []Rule
	Detections []Detection
	// Key makes tokens: the same value has the same token under the same key.
	// It must be set when an action is Token.
	Key secret.Secret
}

// Limits of an operator's pattern.
const (
	maxPattern = 512  // bytes of the expression
	maxProgram = 2000 // instructions of the compiled expression
)

// pattern compiles an operator's expression within the limits.
func pattern(expr string) (*regexp.Regexp, error) {
	if len(expr) > maxPattern {
		return nil, fmt.Errorf("%w: a pattern has at most %d bytes", ErrConfig, maxPattern)
	}
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(program.Inst) > maxProgram {
		return nil, fmt.Errorf("%w: the pattern is too large: repeat less", ErrConfig)
	}
	re, err := regexp.Compile(expr)
	if err == nil && re.MatchString("") {
		return nil, fmt.Errorf("%w: the pattern matches the empty text", ErrConfig)
	}
	return re, err
}
