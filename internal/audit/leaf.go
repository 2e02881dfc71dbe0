package audit

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

// MaxLeaf is the most bytes of one leaf: what an entry of a C2SP tlog-tiles
// bundle holds.
const MaxLeaf = 64<<10 - 1

// Limits that keep a leaf under MaxLeaf. What is cut is marked: strings end in
// "…", lists say how many were left out.
const (
	maxText  = 512  // names, messages
	maxARN   = 2048 // an ARN as AWS allows it
	maxItems = 64
	maxLong  = 16 // items of lists that may hold ARN-sized strings
)

// timeForm is RFC 3339 in UTC with microseconds.
const timeForm = "2006-01-02T15:04:05.000000Z"

// AppendLeaf appends the leaf of e to dst. Members stand in the order of RFC
// 8785 and empty ones are left out, so equal events have equal bytes.
func AppendLeaf(dst []byte, e *Event) []byte {
	start := len(dst)
	dst = appendLeaf(dst, e)
	if len(dst)-start <= MaxLeaf {
		return dst
	}
	return appendLeaf(dst[:start], e.bare())
}

// bare is e without its lists: what remains can't reach MaxLeaf even when every
// byte of it needs an escape.
func (e *Event) bare() *Event {
	b := *e
	b.Actions, b.Detail = b.Actions[:min(len(b.Actions), 4)], nil
	b.MoreResources, b.Resources = b.MoreResources+len(b.Resources), nil
	if e.Identity != nil {
		i := *e.Identity
		i.Groups, i.OnBehalfOf = nil, nil
		b.Identity = &i
	}
	if e.Decision != nil {
		d := *e.Decision
		d.Policies, d.Errors, d.Masks = d.Policies[:min(len(d.Policies), 4)], d.Errors[:min(len(d.Errors), 2)], d.Masks[:min(len(d.Masks), 4)]
		b.Decision = &d
	}
	return &b
}

func appendLeaf(dst []byte, e *Event) []byte {
	o := object{dst: append(dst, '{')}
	o.text("awsRegion", e.Region)
	o.text("callID", e.Call)
	o.number("count", e.Count, e.Count != 0)
	o.decision(e.Decision)
	o.detail(e.Detail)
	o.text("errorCode", e.Error)
	o.text("errorMessage", e.Message)
	o.text("eventID", e.ID)
	o.text("eventName", e.Name)
	o.text("eventSource", e.Source)
	o.time("eventTime", e)
	o.text("eventType", string(e.Type))
	o.text("eventVersion", "1")
	o.list("iamActions", e.Actions, maxItems, 128)
	o.text("outcome", e.Outcome)
	o.flag("readOnly", e.ReadOnly, e.Name != "")
	o.text("recipientAccountId", e.Account)
	o.message("request", e.Request)
	omitted := e.MoreResources + o.resources(e.Resources)
	o.number("resourcesOmitted", int64(omitted), omitted > 0)
	o.message("response", e.Response)
	o.text("rule", e.Rule)
	o.shred(e.Shred)
	o.text("sourceIPAddress", e.Peer)
	o.upstream(e.Upstream)
	o.cut("userAgent", e.Agent, 256)
	o.identity(e.Identity)
	return append(o.dst, '}')
}

// object appends the members of one JSON object, which the caller names in
// sort order.
type object struct {
	dst  []byte
	some bool
}

func (o *object) name(name string) {
	if o.some {
		o.dst = append(o.dst, ',')
	}
	o.some = true
	o.dst = append(o.dst, '"')
	o.dst = append(o.dst, name...)
	o.dst = append(o.dst, '"', ':')
}

func (o *object) text(name, value string) { o.cut(name, value, maxText) }

func (o *object) cut(name, value string, limit int) {
	if value != "" {
		o.name(name)
		o.dst = appendString(o.dst, value, limit)
	}
}

func (o *object) number(name string, n int64, present bool) {
	if present {
		o.name(name)
		o.dst = strconv.AppendInt(o.dst, n, 10)
	}
}

func (o *object) flag(name string, value, present bool) {
	if present {
		o.name(name)
		o.dst = strconv.AppendBool(o.dst, value)
	}
}

func (o *object) time(name string, e *Event) {
	o.name(name)
	o.dst = append(o.dst, '"')
	o.dst = e.Time.UTC().AppendFormat(o.dst, timeForm)
	o.dst = append(o.dst, '"')
}

func (o *object) list(name string, values []string, items, limit int) {
	if len(values) == 0 {
		return
	}
	o.name(name)
	o.dst = append(o.dst, '[')
	for i, v := range values {
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		if i == items {
			o.dst = appendString(o.dst, "… "+strconv.Itoa(len(values)-items)+" more", maxText)
			break
		}
		o.dst = appendString(o.dst, v, limit)
	}
	o.dst = append(o.dst, ']')
}

// open begins a member that is an object.
func (o *object) open(name string) object {
	o.name(name)
	return object{dst: append(o.dst, '{')}
}

func (o *object) close(inner object) { o.dst = append(inner.dst, '}') }

func (o *object) decision(d *Decision) {
	if d == nil {
		return
	}
	in := o.open("decision")
	in.flag("approval", d.Approval, d.Approval)
	in.cut("denied", d.Denied, maxARN)
	in.text("effect", d.Effect)
	in.list("errors", d.Errors, 8, maxText)
	in.list("masks", d.Masks, maxItems, 128)
	in.list("policies", d.Policies, maxItems, 128)
	in.text("policySet", d.Set)
	o.close(in)
}

func (o *object) detail(d map[string]string) {
	if len(d) == 0 {
		return
	}
	names := make([]string, 0, len(d))
	for name := range d {
		names = append(names, name)
	}
	slices.Sort(names)
	in := o.open("detail")
	for _, name := range names[:min(len(names), maxLong)] {
		in.text(name, d[name])
	}
	o.close(in)
}

func (o *object) identity(i *Identity) {
	if i == nil {
		return
	}
	in := o.open("userIdentity")
	in.text("accessKeyId", i.Key)
	in.list("groups", i.Groups, maxItems, 128)
	in.list("onBehalfOf", i.OnBehalfOf, 8, maxText)
	in.text("principalId", i.Principal)
	in.text("role", i.Role)
	in.text("sessionId", i.Session)
	o.close(in)
}

func (o *object) message(name string, m *Message) {
	if m == nil {
		return
	}
	in := o.open(name)
	in.text("body", m.Body)
	in.text("canonicalSha256", m.Hash)
	in.number("length", m.Length, m.Length != 0)
	in.number("presigned", m.Presigned, m.Presigned != 0)
	in.recording(m.Recording)
	in.text("requestId", m.RequestID)
	in.number("status", int64(m.Status), m.Status != 0)
	o.close(in)
}

func (o *object) recording(r *Recording) {
	if r == nil {
		return
	}
	in := o.open("recording")
	in.number("bytes", r.Bytes, true)
	in.number("chunks", int64(r.Chunks), true)
	in.text("commitment", r.Commitment)
	in.flag("cut", r.Cut, r.Cut)
	in.text("key", r.Key)
	in.text("pack", r.Pack)
	in.text("sha256", r.SHA256)
	in.number("stream", int64(r.Stream), true)
	o.close(in)
}

func (o *object) shred(s *Shred) {
	if s == nil {
		return
	}
	in := o.open("shred")
	in.list("keys", s.Keys, maxItems, 128)
	in.list("packs", s.Packs, maxItems, 128)
	in.text("reason", s.Reason)
	o.close(in)
}

// resources appends as many resources as there is room for and returns how
// many were left out.
func (o *object) resources(list []Resource) int {
	if len(list) == 0 {
		return 0
	}
	const room = 24 << 10
	o.name("resources")
	o.dst = append(o.dst, '[')
	begin := len(o.dst)
	for i, r := range list {
		if i == maxItems || len(o.dst)-begin > room {
			o.dst = append(o.dst, ']')
			return len(list) - i
		}
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		in := object{dst: append(o.dst, '{')}
		in.cut("ARN", r.ARN, maxARN)
		in.text("type", r.Type)
		o.close(in)
	}
	o.dst = append(o.dst, ']')
	return 0
}

func (o *object) upstream(u *Upstream) {
	if u == nil {
		return
	}
	in := o.open("upstream")
	in.text("class", u.Class)
	in.text("host", u.Host)
	in.text("narrowing", u.Level)
	in.text("roleArn", u.Role)
	in.text("sourceIdentity", u.SourceIdentity)
	in.flag("widened", u.Widened, u.Widened)
	o.close(in)
}

// appendString appends s as a JSON string in the form of RFC 8785, section
// 3.2.2.2, cut after limit bytes. Bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string, limit int) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		if i >= limit {
			dst = append(dst, "…"...)
			break
		}
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		default:
			if short := shortEscape(c); short != 0 {
				dst = append(dst, '\\', short)
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
		}
		i++
	}
	return append(dst, '"')
}

func shortEscape(c byte) byte {
	switch c {
	case '\b':
		return 'b'
	case '\t':
		return 't'
	case '\n':
		return 'n'
	case '\f':
		return 'f'
	case '\r':
		return 'r'
	}
	return 0
}
