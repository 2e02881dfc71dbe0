package masks

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/nearest"
	"github.com/credence-gateway/credence/internal/secret"
)

// The sets that credence brings.
const (
	Keys    = "keys"
	Secrets = "secrets"
	PII     = "pii"
	Tokens  = "tokens"
	None    = "none" // in @mask: not even what is always on
)

// Restored in a plan stands for the values that the request has in the place of
// tokens: an answer that repeats them, as errors do, must not tell them.
const Restored = "restored"

// Restoring is a plan with Restored.
func Restoring(plan string) string {
	if plan == "" {
		return Restored
	}
	return plan + "," + Restored
}

// Restores reports whether a plan has Restored.
func Restores(plan string) bool { return plan == Restored || strings.HasSuffix(plan, ","+Restored) }

// Rule is an operator's rule. One of At, Detect and Pattern is set.
type Rule struct {
	At       string // "service:Operation:path"
	Detect   string // a built-in detector or set
	Pattern  string // RE2
	Name     string // what Pattern is counted as
	Resource string // only calls on ARNs like this, or in one; "*" is any text
	Action   string // "" means redact
	Requests bool   // a request in which it finds something is refused
	Approval string // or these people are asked, "group:local|sre:1"; masks does not read it
}

// Blob stands before a path that leads to base64 of bytes.
const Blob = "blob:"

// Config is what there is to choose from. Key must be set.
type Config struct {
	// Sensitive lists the paths of what AWS's model calls sensitive in an
	// operation's answer, in the names of the protocol's wire. "*" is the body
	// itself, and Blob stands before paths of bytes.
	Sensitive func(service, operation, protocol string) []string
	// SensitiveInput is the same of requests.
	SensitiveInput func(service, operation, protocol string) []string
	// Sets are the operator's rules.
	Sets map[string][]Rule
	// Always are the sets that every answer is under. nil means "keys".
	Always []string
	// Exempt lists "service:Operation", of which bodies are the agent's work.
	// nil means Exempt.
	Exempt []string
	// Key makes tokens.
	Key secret.Secret
}

// ErrConfig is what New's errors wrap, next to mask.ErrConfig.
var ErrConfig = errors.New("masks: bad rules")

// Masks knows every rule. It is safe for concurrent use.
type Masks struct {
	cfg Config

	mu    sync.Mutex
	built map[string]*mask.Mask // by operation, protocol and plan
}

// New checks the rules by compiling each.
func New(c Config) (*Masks, error) {
	if c.Key.IsZero() {
		return nil, fmt.Errorf("%w: no key", ErrConfig)
	}
	if c.Sensitive == nil {
		c.Sensitive = func(string, string, string) []string { return nil }
	}
	if c.SensitiveInput == nil {
		c.SensitiveInput = func(string, string, string) []string { return nil }
	}
	if c.Always == nil {
		c.Always = []string{Keys}
	}
	if c.Exempt == nil {
		c.Exempt = Exempt
	}
	m := &Masks{cfg: c, built: map[string]*mask.Mask{}}
	for name, rules := range c.Sets {
		for i := range rules {
			if err := m.try(&rules[i]); err != nil {
				return nil, fmt.Errorf("%w: set %s, rule %d: %w", ErrConfig, name, i+1, err)
			}
		}
	}
	return m, m.known(c.Always)
}

// try compiles one rule alone.
func (m *Masks) try(r *Rule) error {
	b := builder{key: m.cfg.Key}
	if err := b.rule(r, mask.Redact); err != nil {
		return err
	}
	_, err := mask.New(b.config())
	return err
}

// known returns an error for a name that is no set.
func (m *Masks) known(names []string) error {
	for _, name := range names {
		if _, ok := m.cfg.Sets[name]; !ok && !slices.Contains([]string{Keys, Secrets, PII, Tokens, None}, name) {
			return fmt.Errorf("%w: there is no set %q%s", ErrConfig, name, nearest.Hint(name, m.names()))
		}
	}
	return nil
}

func (m *Masks) names() []string {
	names := []string{Keys, Secrets, PII, Tokens, None}
	for name := range m.cfg.Sets {
		names = append(names, name)
	}
	return names
}

// Call is what Plan must know of a call.
type Call struct {
	Service   string // catalog id
	Operation string
	Object    bool     // the answer's body is a streamed member
	Resources []string // ARNs; in what a call leaves open "*" is any text, "?" any character
}

// Plan says which rules the answer of a call is under, when policy chose these
// sets; "" when none is. It is at most about 1 KiB.
func (m *Masks) Plan(c Call, sets []string) (string, error) {
	if err := m.known(sets); err != nil {
		return "", err
	}
	names := slices.Clone(sets)
	if !slices.Contains(names, None) {
		names = append(names, m.cfg.Always...)
	}
	slices.Sort(names)
	var plan []string
	for _, name := range slices.Compact(names) {
		switch name {
		case None:
		case Keys:
			if !c.Object && !m.exempt(c) {
				plan = append(plan, name)
			}
		case Secrets, PII, Tokens:
			if !m.exempt(c) {
				plan = append(plan, name)
			}
		default:
			plan = append(plan, m.chosen(name, c)...)
		}
	}
	return strings.Join(plan, ","), nil
}

func (m *Masks) exempt(c Call) bool {
	return slices.Contains(m.cfg.Exempt, c.Service+":"+c.Operation)
}

// chosen are the operator's rules that have to do with a call: "set#0".
func (m *Masks) chosen(set string, c Call) []string {
	var list []string
	for i, r := range m.cfg.Sets[set] {
		switch {
		case r.At != "" && !r.at(c.Service, c.Operation):
		case r.At == "" && m.exempt(c):
		case r.Resource != "" && !slices.ContainsFunc(c.Resources, func(arn string) bool { return may(r.Resource, arn) }):
		default:
			list = append(list, set+"#"+strconv.Itoa(i))
		}
	}
	return list
}

// at reports whether the rule is of an operation, or of one that tells the same.
func (r *Rule) at(service, operation string) bool {
	parts := strings.SplitN(r.At, ":", 3)
	is := func(service, operation string) bool { return like(parts[0], service) && like(parts[1], operation) }
	switch {
	case is(service, operation):
		return true
	case service == "s3" && (operation == "HeadObject" || operation == "SelectObjectContent"):
		return is(service, "GetObject")
	case service == "dynamodbstreams": // what is written into a table
		return is("dynamodb", operation)
	case chunked(service, operation):
		return is("lambda", "Invoke")
	}
	return false
}

// chunked holds for the operation that answers as lambda:Invoke does, but in
// events that each have some bytes of it.
func chunked(service, operation string) bool {
	return service == "lambda" && operation == "InvokeWithResponseStream"
}

// chunks is the path of these bytes.
const chunks = "PayloadChunk.Payload"

// like compares with a pattern in which "*" stands for any text.
func like(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	for _, p := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(s, p)
		if !found {
			return false
		}
		s = after
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

// most bounds how many masks are kept compiled.
const most = 4096

// Mask returns the compiled masks of a plan that Plan gave.
func (m *Masks) Mask(service, operation, protocol, plan string) (*mask.Mask, error) {
	return m.once(path.Join(service, operation, protocol, plan), func() (*mask.Mask, error) {
		return m.build(service, operation, protocol, plan)
	})
}

// Recorded returns the masks of what is kept of an operation's requests, or
// answers: what the model and the overlay call sensitive, but the bodies of
// exempt operations. It is nil when nothing is.
func (m *Masks) Recorded(service, operation, protocol string, request bool) (*mask.Mask, error) {
	key := path.Join(service, operation, protocol, "recorded", strconv.FormatBool(request))
	built, err := m.once(key, func() (*mask.Mask, error) {
		b := builder{key: m.cfg.Key}
		paths := m.cfg.SensitiveInput
		if !request {
			paths = m.cfg.Sensitive
			b.paths(overlaid(service, operation), mask.Redact)
		}
		work := m.exempt(Call{Service: service, Operation: operation})
		b.paths(slices.DeleteFunc(slices.Clone(paths(service, operation, protocol)), func(p string) bool { return p == "*" && work }), mask.Redact)
		return mask.New(b.config())
	})
	if err != nil || built.Empty() {
		return nil, err
	}
	return built, nil
}

// once compiles a mask, or returns it as compiled before.
func (m *Masks) once(key string, build func() (*mask.Mask, error)) (*mask.Mask, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if built := m.built[key]; built != nil {
		return built, nil
	}
	built, err := build()
	if err != nil {
		return nil, err
	}
	if len(m.built) >= most {
		clear(m.built)
	}
	m.built[key] = built
	return built, nil
}

func (m *Masks) build(service, operation, protocol, plan string) (*mask.Mask, error) {
	b := builder{key: m.cfg.Key}
	for _, name := range strings.Split(plan, ",") {
		switch name {
		case Keys:
			b.paths(anywhere, mask.Redact)
			b.detect(Keys, mask.Redact)
		case Secrets, Tokens:
			action := mask.Redact
			if name == Tokens {
				action = mask.Seal
			}
			b.paths(m.cfg.Sensitive(service, operation, protocol), action)
			b.paths(overlaid(service, operation), action)
			b.paths(anywhere, action)
			b.detect(Secrets, action)
		case PII:
			b.detect(PII, mask.Redact)
		case Restored:
		default:
			r, err := m.find(name)
			if err != nil {
				return nil, err
			}
			if err := b.rule(r, mask.Redact); err != nil {
				return nil, err
			}
			if r.At != "" && chunked(service, operation) { // a path may lead over chunks
				b.rules[len(b.rules)-1].Path = chunks
			}
		}
	}
	return mask.New(b.config())
}

// find is the rule that a plan names.
func (m *Masks) find(name string) (*Rule, error) {
	set, number, _ := strings.Cut(name, "#")
	i, err := strconv.Atoi(number)
	if rules := m.cfg.Sets[set]; err == nil && i >= 0 && i < len(rules) {
		return &rules[i], nil
	}
	return nil, fmt.Errorf("%w: a plan of other rules: %q", ErrConfig, name)
}

// builder gathers a mask.Config.
type builder struct {
	key        secret.Secret
	rules      []mask.Rule
	detections []mask.Detection
}

func (b *builder) config() mask.Config {
	return mask.Config{Rules: b.rules, Detections: b.detections, Key: b.key}
}

func (b *builder) paths(list []string, a mask.Action) {
	for _, p := range list {
		r := mask.Rule{Path: p, Action: a}
		if path, blob := strings.CutPrefix(p, Blob); blob {
			r.Path, r.Kind = path, mask.Blob
		}
		b.rules = append(b.rules, r)
	}
}

func (b *builder) detect(name string, a mask.Action) {
	b.detections = append(b.detections, mask.Detection{Name: name, Action: a})
}

func (b *builder) rule(r *Rule, a mask.Action) error {
	if r.Action != "" {
		var err error
		if a, err = mask.ParseAction(r.Action); err != nil {
			return err
		}
	}
	switch {
	case r.At != "":
		parts := strings.SplitN(r.At, ":", 3)
		if len(parts) != 3 {
			return fmt.Errorf("%w: %q is not service:Operation:path", ErrConfig, r.At)
		}
		b.rules = append(b.rules, mask.Rule{Name: r.At, Path: parts[2], Action: a})
	default:
		name := r.Name
		if r.Pattern == "" {
			name = r.Detect
		}
		b.detections = append(b.detections, mask.Detection{Name: name, Pattern: r.Pattern, Action: a})
	}
	return nil
}
