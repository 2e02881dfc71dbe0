package masks

import (
	"bytes"
	"fmt"
	"mime"
	"strings"

	"github.com/credence-gateway/credence/internal/mask"
)

// Answer is what is known of an answer when its head is there.
type Answer struct {
	Type     string // Content-Type
	Encoding string // Content-Encoding
	Service  string
	Start    []byte // of the body
	Failed   bool   // it is an error, not what the operation answers
}

// Stream masks an answer's body by its form: its media type, and what it begins
// with where that says nothing. A body in a form that can't be looked into is
// mask.ErrFormat.
func Stream(m *mask.Mask, a Answer) (mask.Stream, error) {
	coding := strings.ToLower(strings.TrimSpace(a.Encoding))
	if coding == "" || coding == "identity" || coding == "aws-chunked" {
		if bytes.HasPrefix(a.Start, gzipMagic) && !a.whole(m) {
			coding = "gzip"
		} else {
			return plain(m, a, a.Start)
		}
	}
	inner, err := plain(m, a, nil)
	if err != nil {
		return nil, err
	}
	return mask.Compressed(coding, inner)
}

// whole reports whether the body itself is replaced. Of a stream of events and of
// an error it is not: those are told by their members.
func (a *Answer) whole(m *mask.Mask) bool {
	return m.Whole() && !a.Failed && !strings.HasPrefix(a.Type, eventStream)
}

const eventStream = "application/vnd.amazon.eventstream"

var gzipMagic = []byte{0x1f, 0x8b}

// opaque are the first bytes of forms that hold text which nothing here can see.
var opaque = [][]byte{
	{'P', 'K', 3, 4}, {0x28, 0xb5, 0x2f, 0xfd}, {'B', 'Z', 'h'}, {0xfd, '7', 'z', 'X', 'Z'}, []byte("%PDF-"), []byte("PAR1"), []byte("Obj\x01"),
	{0x89, 'P', 'N', 'G'}, {0xff, 0xd8, 0xff}, []byte("GIF8"), []byte("RIFF"), {0xd0, 0xcf, 0x11, 0xe0}, {0xff, 0xfe}, {0xfe, 0xff}, {0x1f, 0x9d}, {'7', 'z', 0xbc, 0xaf},
}

func plain(m *mask.Mask, a Answer, start []byte) (mask.Stream, error) {
	if a.whole(m) {
		return m.Stream(mask.Whole, mask.Options{Quoted: strings.Contains(a.Type, "json")})
	}
	for _, magic := range opaque {
		if bytes.HasPrefix(start, magic) {
			return nil, fmt.Errorf("%w: its form holds what can't be looked into", mask.ErrFormat)
		}
	}
	media, params, err := mime.ParseMediaType(a.Type)
	if err != nil {
		media = ""
	}
	if charset := strings.ToLower(params["charset"]); charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return nil, fmt.Errorf("%w: charset %s", mask.ErrFormat, charset)
	}
	format := formatOf(media, start)
	return m.Stream(format, mask.Options{DynamoDB: strings.HasPrefix(a.Service, "dynamodb")})
}

// formatOf trusts the body's start over a media type that says only "text" or
// "bytes".
func formatOf(media string, start []byte) mask.Format {
	switch {
	case strings.Contains(media, "ndjson"), strings.Contains(media, "jsonlines"):
		return mask.Lines
	case strings.Contains(media, "json"):
		return mask.JSON
	case strings.Contains(media, "xml"):
		return mask.XML
	case strings.Contains(media, "cbor"):
		return mask.CBOR
	case media == eventStream:
		return mask.EventStream
	case media == "application/x-www-form-urlencoded":
		return mask.Form
	case media == "text/csv", media == "text/tab-separated-values":
		return mask.CSV
	}
	start = bytes.TrimLeft(start, " \t\r\n")
	switch {
	case len(start) > 0 && (start[0] == '{' || start[0] == '['):
		return mask.Lines
	case bytes.HasPrefix(start, []byte("<?xml")):
		return mask.XML
	}
	return mask.Plain
}
