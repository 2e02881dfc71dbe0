package audit

import (
	"bytes"
	"errors"
)

// leafHead is what every reader of a log needs of a leaf. The slices point into
// the leaf and hold the strings' contents as they stand there, which is what
// they mean: none of these members ever needs an escape.
type leafHead struct {
	Type, Call, ID, Time []byte
	Recording            bool // request or response has a recording
}

var errLeaf = errors.New("the leaf is not JSON as it is written here")

// scanLeaf finds the head of a leaf. It reads the members of the outer object
// alone and steps over their values.
func scanLeaf(leaf []byte) (leafHead, error) {
	var h leafHead
	if len(leaf) < 2 || leaf[0] != '{' {
		return h, errLeaf
	}
	for rest := leaf[1:]; ; {
		name, value, after, err := nextMember(rest)
		if err != nil {
			return h, err
		}
		h.take(name, value)
		if len(after) == 1 && after[0] == '}' {
			return h, nil
		}
		if len(after) == 0 || after[0] != ',' {
			return h, errLeaf
		}
		rest = after[1:]
	}
}

func (h *leafHead) take(name, value []byte) {
	switch string(name) {
	case "callID":
		h.Call = unquote(value)
	case "eventID":
		h.ID = unquote(value)
	case "eventTime":
		h.Time = unquote(value)
	case "eventType":
		h.Type = unquote(value)
	case "request", "response":
		h.Recording = h.Recording || bytes.Contains(value, []byte(`"recording":{`))
	}
}

func unquote(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return nil
	}
	return value[1 : len(value)-1]
}

// nextMember splits `"name":value` off the front.
func nextMember(b []byte) (name, value, rest []byte, err error) {
	n := stringEnd(b)
	if n < 2 || n >= len(b) || b[n] != ':' {
		return nil, nil, nil, errLeaf
	}
	name, b = b[1:n-1], b[n+1:]
	end := valueEnd(b)
	if end <= 0 {
		return nil, nil, nil, errLeaf
	}
	return name, b[:end], b[end:], nil
}

// valueEnd is the length of the value at the front of b, or 0.
func valueEnd(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '"':
		return stringEnd(b)
	case '{', '[':
		return nestedEnd(b)
	}
	return max(bytes.IndexAny(b, ",}]"), 0)
}

func nestedEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := stringEnd(b[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// stringEnd is the length of the string at the front of b, quotes included, or
// 0.
func stringEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
