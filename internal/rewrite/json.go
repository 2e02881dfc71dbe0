package rewrite

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// change returns what to put in place of a value, and false to leave it.
type change func(value string) (string, bool)

// jsonEdits changes the strings of one member of a JSON object: its value, or
// the elements of the list that it is.
func jsonEdits(body []byte, member string, f change) ([]Edit, error) {
	w := walker{dec: json.NewDecoder(bytes.NewReader(body)), body: body, f: f}
	if t, err := w.dec.Token(); err != nil || t != json.Delim('{') {
		return nil, ErrAnswer
	}
	for w.dec.More() {
		key, err := w.dec.Token()
		if err != nil {
			return nil, err
		}
		if key == member {
			err = w.member()
		} else {
			err = w.dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := w.dec.Token(); err != nil {
		return nil, err
	}
	if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrAnswer
	}
	return w.edits, nil
}

// walker collects the edits of one JSON object.
type walker struct {
	dec   *json.Decoder
	body  []byte
	f     change
	edits []Edit
}

// member changes a string, or each string of a list. A null stays.
func (w *walker) member() error {
	t, err := w.text()
	if err != nil || t != json.Delim('[') {
		if _, nested := t.(json.Delim); nested {
			return ErrAnswer
		}
		return err
	}
	for w.dec.More() {
		if t, err = w.text(); err != nil {
			return err
		}
		if _, ok := t.(string); !ok {
			return ErrAnswer
		}
	}
	_, err = w.dec.Token()
	return err
}

// text reads one token and changes it when it is a string.
func (w *walker) text() (json.Token, error) {
	from := int(w.dec.InputOffset())
	t, err := w.dec.Token()
	value, ok := t.(string)
	if err != nil || !ok {
		return t, err
	}
	put, ok := w.f(value)
	if !ok {
		return t, nil
	}
	to := int(w.dec.InputOffset())
	from += bytes.IndexByte(w.body[from:to], '"') // white space, ',' and ':' stand before it
	quoted, err := json.Marshal(put)
	w.edits = append(w.edits, Edit{At: from, Cut: to - from, Put: string(quoted)})
	return t, err
}
