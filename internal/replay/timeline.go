package replay

import (
	"iter"

	"github.com/credence-gateway/credence/internal/audit"
)

// Log yields the leaves of a log in order: audit.Read of its folder.
type Log func() iter.Seq2[[]byte, error]

// Folder is the log in a folder.
func Folder(dir string) Log {
	return func() iter.Seq2[[]byte, error] { return audit.Read(dir) }
}

// Timeline returns what a session did, in order; all that happened when session
// is "".
func Timeline(log Log, session string) ([]Entry, error) {
	var list []Entry
	open := map[string]int{} // calls without an end, by id
	index := int64(-1)
	for data, err := range log() {
		if err != nil {
			return nil, err
		}
		index++
		l, err := parseLeaf(data)
		if err != nil {
			return nil, err
		}
		if at, ok := open[l.Call]; ok && (l.Type == callEnd || l.Type == callUnknown) {
			list[at].finish(&l)
			delete(open, l.Call)
			continue
		}
		if session != "" && l.Identity.Session != session || l.Type == callEnd || l.Type == callUnknown {
			continue
		}
		if l.Type == callBegin {
			open[l.Call] = len(list)
		}
		list = append(list, l.entry(index))
	}
	return list, nil
}

// Follow yields a session's entries as the log grows, each when it begins and
// once more when it ends. leaves is audit.Follow of the log's folder.
func Follow(leaves iter.Seq2[[]byte, error], session string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		open := map[string]Entry{}
		index := int64(-1)
		for data, err := range leaves {
			index++
			l, perr := leaf{}, err
			if err == nil {
				l, perr = parseLeaf(data)
			}
			if perr != nil {
				yield(Entry{}, perr)
				return
			}
			e, mine := step(open, &l, index, session)
			if mine && !yield(e, nil) {
				return
			}
		}
	}
}

// step is the entry that a leaf begins or ends, if it is the session's.
func step(open map[string]Entry, l *leaf, index int64, session string) (Entry, bool) {
	if l.Type == callEnd || l.Type == callUnknown {
		e, ok := open[l.Call]
		delete(open, l.Call)
		e.finish(l)
		return e, ok
	}
	if l.Identity.Session != session {
		return Entry{}, false
	}
	e := l.entry(index)
	if l.Type == callBegin {
		open[l.Call] = e
	}
	return e, true
}
