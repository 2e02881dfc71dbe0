package masks

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/credence-gateway/credence/internal/mask"
)

// Answer is what is known of an answer, or of a request, when its head is there.
type Answer struct {
	Type     string // Content-Type
	Encoding string // Content-Encoding
	Service  string
	Failed   bool // it is an error, not what the operation answers
}

// Stream masks an answer's body by its form: its media type, and what it begins
// with where that says nothing, also of what is compressed. A body in a form that
// can't be looked into is mask.ErrFormat, of Stream or of what it returns.
// The result must be closed when it is an io.Closer.
func Stream(m *mask.Mask, a Answer) (mask.Stream, error) {
	coding := strings.ToLower(strings.TrimSpace(a.Encoding))
	plainly := coding == "" || coding == "identity" || coding == "aws-chunked"
	if a.whole(m) {
		whole, err := m.Stream(mask.Whole, mask.Options{Quoted: strings.Contains(a.Type, "json")})
		if err != nil || plainly {
			return whole, err
		}
		return mask.Compressed(coding, whole)
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	inner := &beginning{untold: a.untold(), columns: m.Paths() && a.tabular(), choose: func(start []byte) (mask.Stream, error) { return a.plain(m, start) }}
	if !plainly {
		return mask.Compressed(coding, inner)
	}
	return &beginning{untold: a.untold(), columns: inner.columns, choose: func(start []byte) (mask.Stream, error) {
		if bytes.HasPrefix(start, gzipMagic) {
			return mask.Compressed("gzip", inner)
		}
		return a.plain(m, start)
	}}, nil
}

// check refuses a charset that is not UTF-8.
func (a *Answer) check() error {
	_, params, err := mime.ParseMediaType(a.Type)
	if err != nil {
		return nil
	}
	if charset := strings.ToLower(params["charset"]); charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return fmt.Errorf("%w: charset %s", mask.ErrFormat, charset)
	}
	return nil
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
	gzipMagic, {0x89, 'P', 'N', 'G'}, {0xff, 0xd8, 0xff}, []byte("GIF8"), []byte("RIFF"), {0xd0, 0xcf, 0x11, 0xe0}, {0xff, 0xfe}, {0xfe, 0xff}, {0, 0, 0xfe, 0xff}, {0x1f, 0x9d}, {'7', 'z', 0xbc, 0xaf},
	{0x78, 0x01}, {0x78, 0x5e}, {0x78, 0x9c}, {0x78, 0xda}, {0x04, 0x22, 'M', 0x18}, {0x02, 0x21, 'L', 0x18}, []byte("\xff\x06\x00\x00sNaPpY"), {0x5d, 0, 0}, []byte("Rar!\x1a\x07"), []byte("ORC"),
	[]byte("ARROW1\x00\x00"), []byte("!<arch>\n"), []byte("070701"), []byte("MSCF"), []byte("LZIP"),
}

// skipped is how a frame of zstandard or LZ4 begins that readers skip, behind its
// first byte, 0x50 to 0x5f.
var skipped = []byte{0x2a, 'M', 0x18}

// inside reports whether a body's first bytes tell a form that holds text which
// nothing here can see.
func inside(start []byte) bool {
	for _, magic := range opaque {
		if bytes.HasPrefix(start, magic) {
			return true
		}
	}
	if len(start) >= 4 && start[0]&0xf0 == 0x50 && bytes.HasPrefix(start[1:], skipped) {
		return true
	}
	return len(start) >= archiveHead && bytes.HasPrefix(start[archiveMagic:], []byte("ustar"))
}

// Where a tape archive says that it is one (POSIX, pax), and what must be there of
// it, in bytes.
const (
	archiveMagic = 257
	archiveHead  = archiveMagic + 5
)

// plain masks a body that is not compressed, or no more.
func (a *Answer) plain(m *mask.Mask, start []byte) (mask.Stream, error) {
	if inside(start) {
		return nil, fmt.Errorf("%w: its form holds what can't be looked into", mask.ErrFormat)
	}
	media := a.media()
	format := formatOf(media)
	if loose(format) {
		if told := begins(m, media, start); told != "" {
			format = told
		} else if m.Paths() && wide(m, media, start) {
			return nil, fmt.Errorf("%w: it is in UTF-16 or UTF-32", mask.ErrFormat)
		}
	}
	switch {
	case format == mask.CBOR && m.Paths() && len(start) > 0 && (start[0]>>5 == 2 || start[0]>>5 == 3):
		return nil, fmt.Errorf("%w: it has no members", mask.ErrFormat) // a text whose type lies may look so
	case (format == mask.JSON || format == mask.Lines) && !bracketed(start) && m.Columns(start):
		format = mask.CSV // a column of quoted texts is JSON, too
	}
	s, err := m.Stream(format, mask.Options{DynamoDB: strings.HasPrefix(a.Service, "dynamodb")})
	if err == nil && loose(format) && !m.Mild() {
		s = &legible{Stream: s}
	}
	return s, err
}

// media is the media type; "" where there is none that can be read.
func (a *Answer) media() string {
	media, _, err := mime.ParseMediaType(a.Type)
	if err != nil {
		return ""
	}
	return media
}

// loose holds for forms that nearly anything can be read as. Who writes an object
// chooses its media type, so what it begins like decides before these do.
func loose(f mask.Format) bool {
	return f == mask.Plain || f == mask.CSV || f == mask.Form || f == mask.ServerSent
}

// begins is the format that a body begins like; "" when that says nothing. Without
// a media type what begins like JSON must be that. Paths are not looked for in HTML.
func begins(m *mask.Mask, media string, start []byte) mask.Format {
	body := blank(start)
	switch {
	case bracketed(start) && (media == "" || bytes.IndexByte(body, 0) >= 0 || mask.BeginsLines(body)):
		return mask.Lines // which refuses what is not: UTF-16 has zeros
	case bytes.HasPrefix(body, []byte("<?xml")), m.Paths() && element(body):
		return mask.XML
	case formatOf(media) != mask.ServerSent && m.Columns(start):
		return mask.CSV
	}
	return ""
}

// wide reports whether a body begins like something with paths in it when the
// zeros are left out, as UTF-16 and UTF-32 have them.
func wide(m *mask.Mask, media string, start []byte) bool {
	if bytes.IndexByte(start, 0) < 0 {
		return false
	}
	return begins(m, media, bytes.ReplaceAll(start, []byte{0}, nil)) != ""
}

// bracketed reports whether a body begins like an object or a list of JSON.
func bracketed(start []byte) bool {
	body := blank(start)
	return len(body) > 0 && (body[0] == '{' || body[0] == '[')
}

// element reports whether a text begins as XML does without a declaration: with an
// element, a comment or a document type.
func element(start []byte) bool {
	if len(start) < 2 || start[0] != '<' {
		return false
	}
	for _, page := range [...]string{"<html", "<!doctype html"} {
		if len(start) > len(page) && bytes.EqualFold(start[:len(page)], []byte(page)) {
			return false
		}
	}
	c := start[1] | 0x20
	return 'a' <= c && c <= 'z' || c == '_' || start[1] == ':' || start[1] >= 0x80 || bytes.HasPrefix(start, []byte("<!--")) || len(start) > 9 && bytes.EqualFold(start[:9], []byte("<!doctype"))
}

// tabular reports whether the media type leaves open whether the body is CSV.
func (a *Answer) tabular() bool {
	f := formatOf(a.media())
	return loose(f) || f == mask.JSON || f == mask.Lines
}

// untold reports whether the media type leaves open whether the body is JSON or
// text.
func (a *Answer) untold() bool { return loose(formatOf(a.media())) }

// beginning holds the start of a body back until it tells its form, however
// small the pieces are that it comes in.
type beginning struct {
	untold  bool // the media type does not tell it
	columns bool // its first line may name columns that a path selects
	choose  func(start []byte) (mask.Stream, error)
	start   []byte
	stream  mask.Stream
}

const (
	leastStart = 8       // bytes behind white space that tell a form
	leastJSON  = 1 << 10 // ... that tell JSON from text, where no line ends before
	leastBlock = 512     // ... that tell a tape archive
	mostHeader = 8 << 10 // ... that tell names of columns, where no line ends before
	mostStart  = 8 << 10 // bytes of white space that may stand before
)

// Append implements mask.Stream.
func (b *beginning) Append(dst, piece []byte) ([]byte, error) {
	if b.stream == nil {
		if len(b.start) > 0 {
			b.start = append(b.start, piece...)
			piece = b.start
		}
		switch n := len(blank(piece)); {
		case n >= leastStart && (!b.untold || told(blank(piece))) && (!b.columns || headed(blank(piece))):
		case n >= leastStart:
			if len(b.start) == 0 {
				b.start = append(b.start, piece...)
			}
			return dst, nil
		case len(piece)-n > mostStart:
			return dst, fmt.Errorf("%w: it begins with white space without end", mask.ErrBound)
		default:
			if len(b.start) == 0 {
				b.start = append(b.start, piece...)
			}
			return dst, nil
		}
		if err := b.open(piece); err != nil {
			return dst, err
		}
	}
	return b.stream.Append(dst, piece)
}

// told reports whether what a body begins with tells its form: of what may be
// JSON or a line of text, such as "[INFO] ...", the first line does, of what has
// zeros in it, as tape archives do, the first block.
func told(start []byte) bool {
	if bytes.IndexByte(start, 0) >= 0 {
		return len(start) >= leastBlock
	}
	return start[0] != '{' && start[0] != '[' || len(start) >= leastJSON || bytes.IndexByte(start, '\n') >= 0
}

// headed reports whether a body's first line is there that is no comment, or one
// that is longer than lines that name columns.
func headed(start []byte) bool {
	if start[0] == '{' || start[0] == '[' || len(start) >= mostHeader {
		return true
	}
	_, whole := mask.Headline(start)
	return whole
}

func (b *beginning) open(start []byte) (err error) {
	b.stream, err = b.choose(start)
	b.start = nil
	return err
}

// Finish implements mask.Stream.
func (b *beginning) Finish(dst []byte) ([]byte, error) {
	if b.stream == nil {
		start := b.start
		err := b.open(start)
		if err == nil {
			dst, err = b.stream.Append(dst, start)
		}
		if err != nil {
			return dst, err
		}
	}
	return b.stream.Finish(dst)
}

// Counts implements mask.Stream.
func (b *beginning) Counts() mask.Counts {
	if b.stream == nil {
		return mask.Counts{}
	}
	return b.stream.Counts()
}

// Close ends what the stream holds open.
func (b *beginning) Close() error {
	if c, ok := b.stream.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// blank is a body's start without the white space, the byte order mark and the
// separator of JSON's text sequences (RFC 7464), that it begins with.
func blank(start []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n\x1e")
}

// formatOf is the format of a media type. Plain is that of any which leaves it
// open.
func formatOf(media string) mask.Format {
	switch {
	case strings.Contains(media, "ndjson"), strings.Contains(media, "jsonl"):
		return mask.Lines
	case strings.Contains(media, "json"):
		return mask.JSON
	case strings.Contains(media, "xml"):
		return mask.XML
	case strings.Contains(media, "cbor"):
		return mask.CBOR
	case media == eventStream:
		return mask.EventStream
	case media == "text/event-stream":
		return mask.ServerSent
	case media == "application/x-www-form-urlencoded":
		return mask.Form
	case strings.Contains(media, "csv"), strings.HasSuffix(media, "-separated-values"):
		return mask.CSV
	}
	return mask.Plain
}
