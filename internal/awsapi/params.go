package awsapi

import (
	"strconv"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// Bounds on any body.
const (
	maxDepth = 160     // DynamoDB nests 32 levels of values, three JSON levels each
	maxNodes = 1 << 20 // values in one body
)

// memberByWire finds a member by its exact wire name, or returns -1. Members
// are sorted by it.
func memberByWire(members []model.Member, name string) int {
	lo, hi := 0, len(members)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if members[mid].Wire < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	// Members of different locations may share a name.
	for i := lo; i < len(members) && members[i].Wire == name; i++ {
		if members[i].Location == model.Body {
			return i
		}
	}
	return -1
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// scalar types a text by its shape: headers, labels, query strings, forms and
// XML carry all values as text.
func scalar(kind model.Kind, text, name string) (any, error) {
	if err := plainText(text); err != nil {
		return nil, refuse("utf-8", "the parameter "+printable(name)+" is not UTF-8")
	}
	switch kind {
	case model.String, model.Blob, model.Timestamp, model.Document:
		return text, nil
	case model.Integer:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && !strings.HasPrefix(text, "+") {
			return n, nil
		}
	case model.Float:
		if jsonNumber(text) {
			if f, err := strconv.ParseFloat(text, 64); err == nil {
				return f, nil
			}
		}
		if text == "NaN" || text == "Infinity" || text == "-Infinity" {
			return text, nil
		}
	case model.Boolean:
		switch text {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	return nil, wrongType(name)
}

func wrongType(name string) error {
	return refuse("parameter-type", "the parameter "+printable(name)+" has a value of the wrong type")
}
