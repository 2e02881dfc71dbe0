package grant

import (
	"encoding/binary"
	"time"
)

// version is the first byte of an encoded grant.
const version = 7

// append encodes g: version, then each field in the order of the type. Text is
// its length as a uvarint and its bytes; numbers are varints.
func (g *Grant) append(b []byte) []byte {
	b = append(b, version)
	for _, s := range g.texts() {
		b = binary.AppendUvarint(b, uint64(len(*s)))
		b = append(b, *s...)
	}
	b = append(b, g.Principal[:]...)
	b = append(b, g.Fingerprint[:]...)
	b = binary.AppendVarint(b, g.Expires.UnixMilli())
	b = binary.AppendVarint(b, g.BodyLength)
	b = binary.AppendVarint(b, g.Chunks.Length)
	b = binary.AppendVarint(b, int64(g.Retain))
	if g.BodySeen {
		return append(b, 1)
	}
	return append(b, 0)
}

// texts are the fields of text, in the order of their encoding.
func (g *Grant) texts() [30]*string {
	return [...]*string{
		&g.CallID, &g.EventID, &g.Session, (*string)(&g.Class), &g.Route, &g.Credential, &g.Service, &g.Operation,
		&g.Protocol, &g.SignService, &g.SignRegion, &g.Authority, &g.PayloadHash, &g.Record,
		&g.Chunks.KeyID, &g.Chunks.Region, &g.Chunks.Service, &g.Chunks.Date, &g.Chunks.Signature, &g.Chunks.Trailer,
		&g.Edits, &g.Origin, &g.PathPrefix, &g.Keep, &g.Account, &g.Masks, &g.Watch, &g.Ask, &g.Cleared, &g.Ticket,
	}
}

// decode reads what append wrote, and nothing else. The grant's strings are
// parts of in.
func decode(in string) (Grant, error) {
	d := decoder{rest: in}
	var g Grant
	if d.byte() != version {
		return Grant{}, ErrMalformed
	}
	for _, s := range g.texts() {
		*s = d.text()
	}
	copy(g.Principal[:], d.take(len(g.Principal)))
	copy(g.Fingerprint[:], d.take(len(g.Fingerprint)))
	g.Expires = time.UnixMilli(d.varint()).UTC()
	g.BodyLength = d.varint()
	g.Chunks.Length = d.varint()
	g.Retain = int(d.varint())
	seen := d.byte()
	g.BodySeen = seen == 1
	if d.failed || d.rest != "" || seen > 1 {
		return Grant{}, ErrMalformed
	}
	return g, nil
}

// decoder reads a string from its start; its failure is sticky.
type decoder struct {
	rest   string
	failed bool
}

func (d *decoder) take(n int) string {
	if d.failed || n < 0 || n > len(d.rest) {
		d.failed = true
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) byte() byte {
	if s := d.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > MaxSealed {
		d.failed = true
		return ""
	}
	return d.take(int(n))
}

// varint is binary.Varint: zigzag over a uvarint.
func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// uvarint reads the shortest form only.
func (d *decoder) uvarint() uint64 {
	window := []byte(d.rest[:min(len(d.rest), binary.MaxVarintLen64)])
	n, size := binary.Uvarint(window)
	if size <= 0 || size > 1 && window[size-1] == 0 {
		d.failed = true
		return 0
	}
	d.take(size)
	return n
}
