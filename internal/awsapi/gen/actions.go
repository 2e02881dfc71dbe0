package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// action starts a rule for an IAM action and reports whether IAM data has it.
func (b *binder) action(name string) (model.Rule, bool) {
	prefix, short, _ := strings.Cut(name, ":")
	a, ok := b.iam.actions[prefix][strings.ToLower(short)]
	if !ok {
		access := guessAccess(short)
		return model.Rule{Action: name, Access: access, Inferred: true, Escalates: b.common.escalates(name, access)}, false
	}
	full := prefix + ":" + a.Name
	return model.Rule{Action: full, Access: a.access(), Escalates: b.common.escalates(full, a.access())}, true
}

// escalates: the listed actions and whatever manages permissions.
func (c common) escalates(action, access string) bool {
	return access == "Permissions" || slices.Contains(c.Escalates, action)
}

var permission = regexp.MustCompile(`Polic(y|ies)|Permission|Credential|AccessKey|Grant`)

// guessAccess tells the access level of an action that IAM data lacks by its
// name; what may be about permissions is taken to be.
func guessAccess(op string) string {
	switch {
	case strings.HasPrefix(op, "List"):
		return "List"
	case permission.MatchString(op):
		return "Permissions"
	case strings.HasPrefix(op, "TagResource"), strings.HasPrefix(op, "UntagResource"):
		return "Tagging"
	}
	for _, p := range []string{"Get", "Describe", "BatchGet"} {
		if strings.HasPrefix(op, p) {
			return "Read"
		}
	}
	return "Write"
}
