package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// ruleSet is a botocore endpoint rule set (Smithy's rules engine).
type ruleSet struct {
	Parameters map[string]struct {
		BuiltIn string `json:"builtIn"`
		Default any    `json:"default"`
	} `json:"parameters"`
	Rules []rule `json:"rules"`
}

type rule struct {
	Conditions []condition `json:"conditions"`
	Type       string      `json:"type"`
	Rules      []rule      `json:"rules"`
	Error      string      `json:"error"`
	Endpoint   struct {
		URL        any `json:"url"`
		Properties struct {
			AuthSchemes []struct{ Name, SigningName, SigningRegion string } `json:"authSchemes"`
		} `json:"properties"`
	} `json:"endpoint"`
}

type condition struct {
	Fn     string `json:"fn"`
	Argv   []any  `json:"argv"`
	Assign string `json:"assign"`
}

type partitions struct {
	Partitions []struct {
		ID      string `json:"id"`
		Outputs struct {
			DNSSuffix       string `json:"dnsSuffix"`
			DualStackSuffix string `json:"dualStackDnsSuffix"`
		} `json:"outputs"`
		RegionRegex string         `json:"regionRegex"`
		Regions     map[string]any `json:"regions"`
	} `json:"partitions"`
	outputs map[string]map[string]any
}

func readPartitions(data string) (*partitions, error) {
	p := &partitions{outputs: map[string]map[string]any{}}
	name := filepath.Join(data, "partitions.json")
	if err := readJSON(name, p); err != nil {
		return nil, err
	}
	var loose struct {
		Partitions []struct {
			ID      string
			Outputs map[string]any
		}
	}
	if err := readJSON(name, &loose); err != nil {
		return nil, err
	}
	for _, l := range loose.Partitions {
		p.outputs[l.ID] = l.Outputs
	}
	return p, nil
}

// model lists the partitions with their real regions.
func (p *partitions) model() []model.Partition {
	var out []model.Partition
	for _, raw := range p.Partitions {
		m := model.Partition{ID: raw.ID, DNSSuffix: raw.Outputs.DNSSuffix, DualStackSuffix: raw.Outputs.DualStackSuffix}
		for r := range raw.Regions {
			if !strings.HasSuffix(r, "-global") {
				m.Regions = append(m.Regions, r)
			}
		}
		sort.Strings(m.Regions)
		out = append(out, m)
	}
	return out
}

// of returns a region's partition and its outputs.
func (p *partitions) of(region string) map[string]any {
	for _, raw := range p.Partitions {
		if _, ok := raw.Regions[region]; ok {
			return p.outputs[raw.ID]
		}
	}
	for _, raw := range p.Partitions {
		if ok, err := regexp.MatchString(raw.RegionRegex, region); err == nil && ok {
			return p.outputs[raw.ID]
		}
	}
	return p.outputs["aws"]
}

// resolved is what a rule set says for one region.
type resolved struct{ host, signingRegion, signingName string }

// endpoint resolves a service's hosts for every region of every partition.
func (p *partitions) endpoint(s *rawService) model.Endpoint {
	var out model.Endpoint
	for _, part := range p.model() {
		byRegion := map[string]resolved{}
		count := map[resolved]int{}
		var best resolved
		for _, region := range part.Regions {
			r, err := p.resolve(s.rules, region)
			if err != nil {
				continue
			}
			r.host = template(r.host, region)
			if r.signingRegion == region && strings.Contains(r.host, "{region}") {
				r.signingRegion = ""
			}
			if r.signingName == s.Metadata.signingName() {
				r.signingName = ""
			}
			byRegion[region] = r
			if count[r]++; count[r] > count[best] {
				best = r
			}
		}
		if len(byRegion) == 0 {
			continue
		}
		rule := model.EndpointRule{Partition: part.ID, Host: best.host, SigningRegion: best.signingRegion, SigningName: best.signingName}
		for _, region := range part.Regions {
			if r, ok := byRegion[region]; ok && r != best {
				rule.Except = append(rule.Except, model.EndpointException{Region: region, Host: r.host, SigningRegion: r.signingRegion, SigningName: r.signingName})
			}
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

// fixed is a host of one form in every partition.
func (p *partitions) fixed(host string) model.Endpoint {
	var out model.Endpoint
	for _, part := range p.model() {
		out.Rules = append(out.Rules, model.EndpointRule{Partition: part.ID, Host: host + "." + part.DNSSuffix})
	}
	return out
}

func template(host, region string) string {
	labels := strings.Split(host, ".")
	for i, l := range labels {
		if l == region {
			labels[i] = "{region}"
		}
	}
	return strings.Join(labels, ".")
}

func (p *partitions) resolve(set *ruleSet, region string) (resolved, error) {
	env := map[string]any{}
	for name, param := range set.Parameters {
		if param.Default != nil {
			env[name] = param.Default
		}
		switch param.BuiltIn {
		case "AWS::Region":
			env[name] = region
		case "AWS::UseFIPS", "AWS::UseDualStack":
			env[name] = false
		case "AWS::Auth::AccountIdEndpointMode":
			env[name] = "disabled"
		}
	}
	e := &evaluator{partitions: p}
	r, err := e.rules(set.Rules, env)
	if err != nil {
		return resolved{}, err
	}
	if r == nil {
		return resolved{}, fmt.Errorf("no endpoint")
	}
	return *r, nil
}

// evaluator walks a rule set; the first rule whose conditions hold decides.
type evaluator struct{ partitions *partitions }

func (e *evaluator) rules(rules []rule, env map[string]any) (*resolved, error) {
	for _, r := range rules {
		scope := map[string]any{}
		for k, v := range env {
			scope[k] = v
		}
		if !e.hold(r.Conditions, scope) {
			continue
		}
		switch r.Type {
		case "error":
			return nil, fmt.Errorf("%s", r.Error)
		case "endpoint":
			return e.endpoint(r, scope)
		}
		return e.rules(r.Rules, scope)
	}
	return nil, fmt.Errorf("no rule applies")
}

func (e *evaluator) hold(conditions []condition, env map[string]any) bool {
	for _, c := range conditions {
		v := e.call(c.Fn, c.Argv, env)
		if v == nil || v == false {
			return false
		}
		if c.Assign != "" {
			env[c.Assign] = v
		}
	}
	return true
}

func (e *evaluator) endpoint(r rule, env map[string]any) (*resolved, error) {
	raw, _ := e.value(r.Endpoint.URL, env).(string)
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("endpoint %q is not an https host", raw)
	}
	out := &resolved{host: u.Host}
	for _, a := range r.Endpoint.Properties.AuthSchemes {
		if a.Name == "sigv4" {
			out.signingRegion, _ = e.value(a.SigningRegion, env).(string)
			out.signingName, _ = e.value(a.SigningName, env).(string)
			break
		}
	}
	return out, nil
}

// value evaluates a literal, a reference, a call or a template string.
func (e *evaluator) value(v any, env map[string]any) any {
	switch v := v.(type) {
	case string:
		return templates.ReplaceAllStringFunc(v, func(m string) string {
			name, attr, _ := strings.Cut(m[1:len(m)-1], "#")
			x := env[name]
			if attr != "" {
				x = attribute(x, attr)
			}
			s, _ := x.(string)
			return s
		})
	case map[string]any:
		if ref, ok := v["ref"].(string); ok {
			return env[ref]
		}
		fn, _ := v["fn"].(string)
		argv, _ := v["argv"].([]any)
		return e.call(fn, argv, env)
	}
	return v
}

var templates = regexp.MustCompile(`\{[A-Za-z_]\w*(#[\w.\[\]]+)?\}`)

func (e *evaluator) call(fn string, argv []any, env map[string]any) any {
	args := make([]any, len(argv))
	for i, a := range argv {
		args[i] = e.value(a, env)
	}
	switch fn {
	case "isSet":
		return args[0] != nil
	case "not":
		return args[0] == nil || args[0] == false
	case "booleanEquals", "stringEquals":
		return args[0] == args[1]
	case "getAttr":
		return attribute(args[0], args[1].(string))
	case "aws.partition":
		region, _ := args[0].(string)
		return any(e.partitions.of(region))
	case "isValidHostLabel":
		s, _ := args[0].(string)
		return hostLabel.MatchString(s)
	}
	return nil // bucket, ARN and URL functions: never set here, as no such parameter is
}

var hostLabel = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)

func attribute(v any, name string) any {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	return m[name]
}
