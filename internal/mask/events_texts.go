package mask

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// piece is a text of an event: where it stands and what it says.
type piece struct {
	path string
	text []byte
}

// texts lists the texts of a JSON payload, also of JSON in base64 in it.
func texts(payload []byte) ([]piece, error) {
	var list []piece
	_, err := edited(payload, func(path string, text []byte) ([]byte, bool) {
		list = append(list, piece{path, bytes.Clone(text)})
		return text, false
	})
	return list, err
}

// edited calls edit for every text of a JSON payload and returns the payload
// with what it changed.
func edited(payload []byte, edit func(path string, text []byte) ([]byte, bool)) ([]byte, error) {
	if len(payload) == 0 {
		return payload, nil
	}
	return editedAt("", payload, edit, 0)
}

func editedAt(prefix string, payload []byte, edit func(string, []byte) ([]byte, bool), depth int) ([]byte, error) {
	j := newJSON(&Mask{root: &node{}, anywhere: &node{}}, Options{}, Counts{})
	j.edit = func(path string, text []byte) ([]byte, bool) {
		if depth == maxNested || !inBytes(path) {
			return edit(prefix+path, text)
		}
		inner, err := base64.StdEncoding.AppendDecode(nil, text)
		if err != nil {
			return edit(prefix+path, text)
		}
		if nested(inner) {
			if out, err := editedAt(prefix+path+".", inner, edit, depth+1); err == nil {
				return base64.StdEncoding.AppendEncode(nil, out), !bytes.Equal(out, inner)
			}
		}
		out, changed := edit(prefix+path+".", inner) // a text that has no name
		if !changed {
			return text, false
		}
		return base64.StdEncoding.AppendEncode(nil, out), true
	}
	out, err := j.Append(make([]byte, 0, len(payload)), payload)
	if err == nil {
		out, err = j.Finish(out)
	}
	return out, err
}

// inBytes holds for members of bytes. Words of a text may look like base64, as
// the first of a JSON web token does, and are words all the same.
func inBytes(path string) bool {
	return strings.EqualFold(path[strings.LastIndexByte(path, '.')+1:], "bytes")
}
