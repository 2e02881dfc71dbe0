package main

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

//go:embed overrides
var overrideFiles embed.FS

// common is overrides/common.yaml: what holds across services.
type common struct {
	Services  []string          `yaml:"services"`  // catalogued services; empty means all
	Prefixes  map[string]string `yaml:"prefixes"`  // service id: IAM prefix
	Vends     []string          `yaml:"vends"`     // service:Operation
	Presigns  []string          `yaml:"presigns"`  // service:Operation
	Large     []string          `yaml:"large"`     // service:Operation
	Harmless  []string          `yaml:"harmless"`  // service:Operation whose output only looks like credentials
	Escalates []string          `yaml:"escalates"` // IAM actions
	PassRole  []string          `yaml:"passrole"`  // IAM actions that depend on iam:PassRole
	NotRoles  []string          `yaml:"notroles"`  // members named like a role that hold none
	// Tagging lists under a tagging action the actions of its service that need it
	// when the request holds tags.
	Tagging map[string][]string `yaml:"tagging"`
	// Also is what the overrides' own says for services without a file.
	Also map[string][]string `yaml:"also"` // service:Operation
	// Renames gives the IAM action of an operation whose action has another
	// name and the types by which it is derived: service:Operation to
	// prefix:Action.
	Renames map[string]string `yaml:"renames"`
	// Split names the types that IAM's data holds as one with several ARNs, in
	// their order: prefix/type to types.
	Split map[string][]string `yaml:"split"`
}

// override is overrides/<service>.yaml: what was reviewed by hand for one
// service.
type override struct {
	Service    string              `yaml:"service"`
	Model      string              `yaml:"model"` // botocore's folder, where the service is a part of another's model under its own SigV4 scope
	Only       []string            `yaml:"only"`  // the operations of that part
	Host       string              `yaml:"host"`  // of a part, in every partition, without the DNS suffix
	FormPost   []string            `yaml:"form_post"`
	Slashless  bool                `yaml:"slashless"` // the models of other SDKs have no slash at the end of its URIs
	Headers    map[string]string   `yaml:"headers"`   // member: header that SDKs add to every request of a part
	Prefix     string              `yaml:"prefix"`
	Signing    []string            `yaml:"signing"`
	AllTypes   bool                `yaml:"all_types"`
	RawPath    bool                `yaml:"raw_path"`
	BucketHost bool                `yaml:"bucket_host"`
	Trailing   bool                `yaml:"trailing_slash"`
	Unrouted   []string            `yaml:"unrouted"`
	Vars       map[string]string   `yaml:"vars"`
	Forms      map[string]formSpec `yaml:"forms"`
	Types      map[string]typeSpec `yaml:"types"`
	Large      []string            `yaml:"large"`
	Refuse     map[string]string   `yaml:"refuse"`
	Operations map[string][]string `yaml:"operations"` // in place of the derived rule
	Also       map[string][]string `yaml:"also"`       // beside it
	// PathActions is for a service whose IAM actions are HTTP methods, and whose
	// resources are the requests' paths behind this one.
	PathActions string   `yaml:"path_actions"`
	RawVars     []string `yaml:"raw_vars"` // variables of such paths that hold any text
}

// shared is what the overrides say of an IAM prefix, whichever service's rules
// use it: the spelling of variables and the patterns of resource types.
type shared struct {
	vars  map[string]string
	types map[string]typeSpec
}

func sharedByPrefix(overrides map[string]*override) map[string]*shared {
	out := map[string]*shared{}
	for _, o := range overrides {
		s := out[o.Prefix]
		if s == nil {
			s = &shared{vars: map[string]string{}, types: map[string]typeSpec{}}
			out[o.Prefix] = s
		}
		maps.Copy(s.vars, o.Vars)
		for name, t := range o.Types {
			if t.Of == nil && t.Pattern != "" || t.Exact != nil || t.Container != nil {
				s.types[name] = t
			}
		}
	}
	return out
}

func (s *shared) typ(name string) typeSpec {
	if s == nil {
		return typeSpec{}
	}
	return s.types[name]
}

func (s *shared) varName(v string) string {
	if s != nil && s.vars[v] != "" {
		return s.vars[v]
	}
	return lowerCamel(v)
}

type formSpec struct {
	Unescape bool        `yaml:"unescape"`
	Match    []matchSpec `yaml:"match"`
}

type matchSpec struct {
	Expr   string            `yaml:"expr"`
	Deny   string            `yaml:"deny"`
	Append map[string]string `yaml:"append"`
}

type typeSpec struct {
	Bind      []string   `yaml:"bind"` // how requests name it
	Also      [][]string `yaml:"also"` // other ways
	Exact     []string   `yaml:"exact"`
	Container []string   `yaml:"container"`
	Pattern   string     `yaml:"pattern"` // in place of IAM's, where that cannot be told from a request
	Of        []string   `yaml:"of"`      // the actions on it that IAM's data lacks, or lacks with the type
}

func readOverrides() (common, map[string]*override, error) {
	var c common
	out := map[string]*override{}
	files, err := fs.Glob(overrideFiles, "overrides/*.yaml")
	if err != nil {
		return c, nil, err
	}
	for _, name := range files {
		data, err := overrideFiles.ReadFile(name)
		if err != nil {
			return c, nil, err
		}
		if name == "overrides/common.yaml" {
			if err := strictYAML(data, &c); err != nil {
				return c, nil, fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		o := &override{}
		if err := strictYAML(data, o); err != nil {
			return c, nil, fmt.Errorf("%s: %w", name, err)
		}
		out[o.Service] = o
	}
	return c, out, nil
}

func strictYAML(data []byte, v any) error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	return d.Decode(v)
}

// ruleText is a rule of an override, taken apart:
//
//	ACTION [on TARGET[+TARGET...]] [each PATH] [if COND[&COND...]]
//
// TARGET is [prefix/]type[(BIND,...)], with "_" for a space in the type, or
// "*"; BIND is Var=PATH, Var.=PATH for a value that goes behind what the variable
// has, Var:PATH for a value that is never an ARN, or PATH@form, each with "?TEXT"
// behind it for the value where the request has none. PATH is member names joined
// by ".", with "^" before it for the whole input within each, and "{}" for a map's
// keys. COND is [!]PATH[|PATH...][=value]; PATH@form#Part asks for a part of a form.
type ruleText struct {
	action  string
	targets []targetText
	each    string
	conds   []condText
}

type targetText struct {
	prefix, typ string
	binds       []string // nil: the type's own
	bound       bool     // binds were written, perhaps none
}

type condText struct {
	paths []string
	value string
	not   bool
}

// ways lists every way in which requests name the type.
func (t typeSpec) ways() [][]string {
	if t.Bind == nil {
		return nil
	}
	return append([][]string{t.Bind}, t.Also...)
}

func parseRule(text string) (ruleText, error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words)%2 == 0 {
		return ruleText{}, fmt.Errorf("rule %q: want ACTION [on ...] [each ...] [if ...]", text)
	}
	r := ruleText{action: words[0]}
	for i := 1; i < len(words); i += 2 {
		switch words[i] {
		case "on":
			for _, t := range strings.Split(words[i+1], "+") {
				r.targets = append(r.targets, parseTarget(t))
			}
		case "each":
			r.each = words[i+1]
		case "if":
			for _, c := range strings.Split(words[i+1], "&") {
				r.conds = append(r.conds, parseCond(c))
			}
		default:
			return ruleText{}, fmt.Errorf("rule %q: %q is not on, each or if", text, words[i])
		}
	}
	return r, nil
}

func parseTarget(text string) targetText {
	var t targetText
	name, binds, bound := strings.Cut(strings.TrimSuffix(text, ")"), "(")
	if prefix, rest, ok := strings.Cut(name, "/"); ok {
		t.prefix, name = prefix, rest
	}
	t.typ, t.bound = strings.ReplaceAll(name, "_", " "), bound
	if binds != "" {
		t.binds = strings.Split(binds, ",")
	}
	return t
}

func parseCond(text string) condText {
	var c condText
	text, c.not = strings.CutPrefix(text, "!")
	text, c.value, _ = strings.Cut(text, "=")
	c.paths = strings.Split(text, "|")
	return c
}

// path parses PATH against the service's forms.
func (b *binder) path(text string) (model.Path, error) {
	var p model.Path
	var form string
	var hasForm bool
	text, p.Root = strings.CutPrefix(text, "^")
	text, p.Part, _ = strings.Cut(text, "#")
	text, form, hasForm = strings.Cut(text, "@")
	if hasForm {
		i, ok := b.forms[form]
		if !ok {
			return p, fmt.Errorf("no form %q", form)
		}
		p.Form = i + 1
	}
	if keys, ok := strings.CutSuffix(text, "{}"); ok {
		p.Steps = append(strings.Split(keys, "."), "{}")
	} else if text != "." {
		p.Steps = strings.Split(text, ".")
	}
	return p, nil
}
