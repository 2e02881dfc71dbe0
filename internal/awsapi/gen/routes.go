package main

import "strings"

// routes are the methods and URI templates of all REST operations, by the SigV4
// scopes that their requests have.
type routes map[string][]uriTemplate

type uriTemplate struct {
	service, operation, method string
	segments                   []string
}

func routesOf(all []*rawService, overrides map[string]*override) routes {
	out := routes{}
	for _, s := range all {
		for _, scope := range scopes(s, overrides[s.id]) {
			for name, op := range s.Operations {
				out[scope] = append(out[scope], uriTemplate{s.id, name, op.HTTP.Method, segments(op.HTTP.RequestURI)})
			}
		}
	}
	return out
}

func scopes(s *rawService, over *override) []string {
	out := []string{s.Metadata.signingName()}
	if over != nil {
		out = append(out, over.Signing...)
	}
	return out
}

func segments(uri string) []string {
	path, _, _ := strings.Cut(uri, "?")
	return strings.Split(strings.TrimPrefix(path, "/"), "/")
}

// otherURI is an operation's URI without its slash at the end. AWS takes both,
// and SDKs made from Smithy models send it without where those have none. It is
// left out where it is the form of another operation, unless the service is known
// to be called so: a request for the one or the other is then ambiguous.
func (b *binder) otherURI(name string) string {
	op := b.raw.Operations[name]
	path, query, _ := strings.Cut(op.HTTP.RequestURI, "?")
	other, ok := strings.CutSuffix(path, "/")
	if !ok || other == "" || strings.HasPrefix(b.raw.id, "s3") {
		return ""
	}
	if query != "" {
		other += "?" + query
	}
	if b.over.Slashless {
		return other
	}
	for _, scope := range scopes(b.raw, b.over) {
		for _, t := range b.routes[scope] {
			if t.method == op.HTTP.Method && overlap(t.segments, segments(other)) {
				return ""
			}
		}
	}
	return other
}

// overlap reports whether a path may have the form of both templates. A label
// takes any segment but the empty one.
func overlap(a, b []string) bool {
	for i := range min(len(a), len(b)) {
		la, lb := strings.HasPrefix(a[i], "{"), strings.HasPrefix(b[i], "{")
		switch {
		case strings.HasSuffix(a[i], "+}") || strings.HasSuffix(b[i], "+}"):
			return true
		case !la && !lb && a[i] != b[i], la && b[i] == "", lb && a[i] == "":
			return false
		}
	}
	return len(a) == len(b)
}
