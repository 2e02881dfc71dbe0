package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// maxSkew is how far the time of records may run back: they are stamped before
// they are queued.
const maxSkew = 10 * time.Second

// visit follows the story that the leaves tell.
func (v *verifier) visit(index int64, leaf []byte, h leafHead) {
	v.checkTime(index, h.Time)
	switch Type(h.Type) {
	case CallBegin:
		v.begin(index, string(h.Call))
	case CallEnd:
		v.end(index, string(h.Call))
	case CallUnknown:
		v.end(index, string(h.Call))
		v.report.Unknown++
	case LogOpen, KeyRotate, BodyShred:
		v.look(index, leaf)
	}
	if h.Recording {
		v.look(index, leaf)
	}
}

func (v *verifier) begin(index int64, call string) {
	if at, ok := v.open[call]; ok {
		v.report.find(Incomplete, "record %d: the call %s began before, in record %d", index, call, at)
	}
	v.open[call] = index
	v.report.Calls++
}

func (v *verifier) end(index int64, call string) {
	if _, ok := v.open[call]; !ok {
		v.report.find(Incomplete, "record %d: the call %s ends without a begin, or twice", index, call)
	}
	delete(v.open, call)
}

// checkTime compares texts: the form of eventTime has one length and sorts.
func (v *verifier) checkTime(index int64, at []byte) {
	if bytes.Compare(at, v.latest) >= 0 {
		v.latest = append(v.latest[:0], at...)
		return
	}
	before, err1 := time.Parse(timeForm, string(v.latest))
	now, err2 := time.Parse(timeForm, string(at))
	switch {
	case err1 != nil || err2 != nil:
		v.report.find(Incomplete, "record %d: its time %q can't be read", index, at)
	case before.Sub(now) > maxSkew:
		v.report.find(Incomplete, "record %d: its time is %s behind an earlier record's: the clock ran back", index, before.Sub(now).Round(time.Second))
	}
}

// look reads a whole leaf.
func (v *verifier) look(index int64, leaf []byte) {
	var b body
	if err := json.Unmarshal(leaf, &b); err != nil {
		v.report.find(Incomplete, "record %d can't be read: %v", index, err)
		return
	}
	switch b.Type {
	case LogOpen:
		v.opened(index, b)
	case KeyRotate:
		key, err := checkRotation(v.checkpoint.Origin, v.key, b.Detail)
		if err != nil {
			v.report.find(Tampered, "record %d: %v", index, err)
			return
		}
		v.key = key
	case BodyShred:
		v.shredded(index, b)
	default:
		v.recording(index, b.Call, "request", b.Request.Recording)
		v.recording(index, b.Call, "response", b.Response.Recording)
	}
}

// opened checks what each start of a log says. Before it, the start has closed
// every call that a crash left open.
func (v *verifier) opened(index int64, b body) {
	if b.Detail["origin"] != v.checkpoint.Origin {
		v.report.find(Tampered, "record %d opens the log %q, and the checkpoint is of %q", index, b.Detail["origin"], v.checkpoint.Origin)
	}
	key := b.Detail["key"]
	if v.key == "" && !v.named {
		v.key = key
	}
	v.named = true
	if key != v.key {
		v.report.find(Tampered, "record %d: the log is opened with the key %s in place of %s", index, key, v.key)
	}
	for call, at := range v.open {
		v.report.find(Incomplete, "record %d: the call %s began and has no end, though the log was opened again in record %d", at, call, index)
	}
	clear(v.open)
}

// absence is a recording that is not there. It is kept under its key and its
// pack until a body.shred names one of them.
type absence struct {
	index     int64
	direction string
	key, pack string
}

// recording checks one recording.
func (v *verifier) recording(index int64, call, direction string, r *Recording) {
	if r == nil || v.cfg.Bodies == nil {
		return
	}
	switch err := v.cfg.Bodies(v.ctx, call, direction, *r); {
	case err == nil:
		v.report.Recordings++
		v.there[r.Key] = index
	case errors.Is(err, ErrNoBody):
		v.absent[r.Key] = append(v.absent[r.Key], absence{index, direction, r.Key, r.Pack})
	default:
		v.report.find(Tampered, "record %d: the recording of its %s: %v", index, direction, err)
	}
}

// shredded settles the absences that a body.shred explains.
func (v *verifier) shredded(index int64, b body) {
	var settled int64
	for _, key := range b.Shred.Keys {
		settled += int64(len(v.absent[key]))
		delete(v.absent, key)
	}
	if len(b.Shred.Packs) > 0 {
		settled += v.settlePacks(b.Shred.Packs)
	}
	v.report.Erased += settled
	for _, key := range b.Shred.Keys {
		if at, ok := v.there[key]; ok {
			v.report.find(Incomplete, "record %d says that the key %s was erased, and it is there: it opens the recording of record %d", index, key, at)
		}
	}
	if len(v.report.Erasures) < maxFindings && len(b.Shred.Keys)+len(b.Shred.Packs) > 0 {
		by := b.Detail["by"]
		if by == "" {
			by = "the gateway"
		}
		v.report.Erasures = append(v.report.Erasures, Erasure{index, b.Time, by, b.Session.ID, b.Shred.Reason, settled})
	}
}

// settlePacks forgets the absences of packs, and counts them.
func (v *verifier) settlePacks(packs []string) (settled int64) {
	for key, list := range v.absent {
		left := slices.DeleteFunc(list, func(a absence) bool { return slices.Contains(packs, a.pack) })
		settled += int64(len(list) - len(left))
		if v.absent[key] = left; len(left) == 0 {
			delete(v.absent, key)
		}
	}
	return settled
}
