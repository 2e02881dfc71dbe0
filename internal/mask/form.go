package mask

import (
	"bytes"
	"net/url"
	"strings"
)

// formStream masks application/x-www-form-urlencoded pairs, as AWS's query
// protocols write requests: "Tags.member.1.Value=x" is at Tags[].Value.
type formStream struct {
	holder
	leaves
}

func newForm(m *Mask, counts Counts) *formStream {
	return &formStream{leaves: leaves{m: m, counts: counts}}
}

// Counts implements Stream.
func (f *formStream) Counts() Counts { return f.counts }

// Append implements Stream.
func (f *formStream) Append(dst, piece []byte) ([]byte, error) {
	if f.fail != nil {
		return dst, f.fail
	}
	f.feed(piece)
	for {
		pair, _, whole := bytes.Cut(f.rest(), []byte("&"))
		if !whole {
			return dst, f.check(nil)
		}
		var err error
		if dst, err = f.pair(dst, pair); err != nil {
			return dst, f.check(err)
		}
		dst = append(dst, '&')
		f.at += len(pair) + 1
	}
}

// Finish implements Stream.
func (f *formStream) Finish(dst []byte) ([]byte, error) {
	if f.fail != nil {
		return dst, f.fail
	}
	dst, err := f.pair(dst, f.rest())
	f.at = len(f.buf)
	return dst, f.check(err)
}

func (f *formStream) pair(dst, pair []byte) ([]byte, error) {
	name, value, has := bytes.Cut(pair, []byte("="))
	key, err := url.QueryUnescape(string(name))
	if err != nil {
		return dst, ErrFormat
	}
	text, err := url.QueryUnescape(string(value))
	if err != nil {
		return dst, ErrFormat
	}
	out, changed, err := f.text(f.ruleOf(key), Text, []byte(text))
	if err != nil {
		return dst, err
	}
	if !changed || !has {
		return append(dst, pair...), nil
	}
	dst = append(append(dst, name...), '=')
	return append(dst, url.QueryEscape(string(out))...), nil
}

// ruleOf walks the paths along a pair's name. Numbers are elements; the
// wrappers of lists and maps are no step.
func (f *formStream) ruleOf(key string) *Rule {
	p := newPath(f.m)
	for step := range strings.SplitSeq(key, ".") {
		switch {
		case step != "" && strings.Trim(step, "0123456789") == "":
			p.enter(nil, true)
		case step == "member" || step == "entry" || step == "value":
		default:
			p.enter([]byte(step), false)
		}
	}
	return p.rule()
}
