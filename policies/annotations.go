package policies

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/credence-gateway/credence/internal/nearest"
)

// annotations are the names that mean something.
var annotations = []string{"id", "role", "duration", "narrow", "record", "retain", "approval", "approval_scope", "presigned", "advice", "mask", "unmask"}

func (r *rule) annotate(list cedar.Annotations, m *model) error {
	for name, v := range list {
		value := string(v)
		if !slices.Contains(annotations, string(name)) {
			return fmt.Errorf("there is no annotation @%s%s", name, nearest.Hint(string(name), annotations))
		}
		if value == "" {
			return fmt.Errorf("@%s is empty", name)
		}
		if !r.permit && name != "id" && name != "advice" {
			return fmt.Errorf("@%s stands on a forbid: obligations are for permits", name)
		}
		if err := r.apply(string(name), value, m); err != nil {
			return err
		}
	}
	if _, scoped := list["approval_scope"]; scoped && r.quorum.Count == 0 {
		return errors.New("@approval_scope stands without @approval")
	}
	return nil
}

func (r *rule) apply(name, value string, m *model) error {
	switch name {
	case "id":
		r.id = value
	case "role":
		r.role = value
	case "advice":
		r.advice = value
	case "mask":
		return r.applyMask(value, m.maskSets)
	case "unmask":
		return r.applyUnmask(value, m)
	case "duration":
		return r.applyDuration(value)
	case "presigned":
		return r.applyPresigned(value)
	case "retain":
		return r.applyRetain(value)
	case "approval":
		return r.applyApproval(value)
	case "approval_scope":
		return choose(name, value, &r.scope, map[string]Scope{"exact": ScopeExact, "operation": ScopeOperation, "session": ScopeSession})
	case "narrow":
		return choose(name, value, &r.narrow, map[string]Narrow{"service": NarrowService, "container": NarrowContainer, "exact": NarrowExact})
	case "record":
		return choose(name, value, &r.record, map[string]Record{"meta": RecordMeta, "full": RecordFull})
	}
	return nil
}

func (r *rule) applyDuration(value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < 15*time.Minute || d > 12*time.Hour {
		return fmt.Errorf(`@duration(%q) is not between "15m" and "12h"`, value)
	}
	r.duration = d
	return nil
}

// retainForm is a number of days.
var retainForm = regexp.MustCompile(`^([1-9][0-9]{0,3})d$`)

func (r *rule) applyRetain(value string) error {
	const most = 3650 // ten years, as recording.days
	m := retainForm.FindStringSubmatch(value)
	if m == nil {
		return fmt.Errorf(`@retain(%q) is not a number of days such as "30d"`, value)
	}
	if r.retain, _ = strconv.Atoi(m[1]); r.retain > most { // four digits are a number
		return fmt.Errorf(`@retain(%q) is not between "1d" and "%dd"`, value, most)
	}
	return nil
}

// applyPresigned takes AWS's own bound: links live a week at most.
func (r *rule) applyPresigned(value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < time.Second || d > 7*24*time.Hour {
		return fmt.Errorf(`@presigned(%q) is not between "1s" and "168h"`, value)
	}
	r.presigned = d
	return nil
}

// approvalForm is "group:<issuer>|<group>:<count>".
var approvalForm = regexp.MustCompile(`^group:([^|:]+\|.+):([1-9])$`)

func (r *rule) applyApproval(value string) (err error) {
	if r.quorum, err = ParseApproval(value); err != nil {
		return fmt.Errorf("@approval(%q) %w", value, err)
	}
	return nil
}

// ParseApproval reads "group:<issuer>|<group>:<count>", as @approval has it. Its
// error is what the text is not, to stand behind it.
func ParseApproval(value string) (Quorum, error) {
	m := approvalForm.FindStringSubmatch(value)
	if m == nil {
		return Quorum{}, errors.New(`is not a group and how many of it, 1 to 9, such as "group:local|sre:2"`)
	}
	return Quorum{Group: m[1], Count: int(m[2][0] - '0')}, nil
}

func choose[V any](name, value string, into *V, known map[string]V) error {
	v, ok := known[value]
	if !ok {
		return fmt.Errorf("@%s(%q) is unknown%s", name, value, nearest.Hint(value, sorted(known)))
	}
	*into = v
	return nil
}
