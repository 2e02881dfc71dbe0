package extproc

import "github.com/credence-gateway/credence/internal/envoymsg"

// flow is a body on its way through. What comes is counted, passes the stages,
// and is counted again as it goes, one piece behind: what came last is held
// until the flow may finish.
type flow struct {
	on       bool  // the body comes through the stream
	declared int64 // content-length as it came; -1 when there is none
	due      int64 // content-length as it goes; -1 when there is none
	stages   []stage
	what     described // describes the body for the record
	holds    bool      // the head waits until the length is known, or too much is held

	length int64    // bytes that came
	passed int64    // bytes behind the last stage
	held   []byte   // not empty once anything passed
	ready  [][]byte // may be released
	ended  bool
}

// newFlow is the flow of a body that comes through the stream and whose length
// its stages keep. what is one of them.
func newFlow(declared int64, what described, stages ...stage) flow {
	return flow{on: true, declared: declared, due: declared, stages: stages, what: what}
}

// take lets the next data through the stages. Its errors are ErrLength when the
// body is longer than declared, ErrMessage after its end, and the stages'; what
// was not released by then must not be.
func (f *flow) take(data []byte) error {
	if f.ended {
		return ErrMessage
	}
	f.length += int64(len(data))
	if f.declared >= 0 && f.length > f.declared {
		return ErrLength
	}
	if len(data) == 0 {
		return nil
	}
	return f.pass(0, data)
}

// pass gives a piece to the stages from the i-th on.
func (f *flow) pass(i int, piece []byte) error {
	if i == len(f.stages) {
		return f.keep(piece)
	}
	out, err := f.stages[i].Write(piece)
	if err != nil {
		return err
	}
	return f.passAll(i+1, out)
}

func (f *flow) passAll(i int, pieces [][]byte) error {
	for _, p := range pieces {
		if err := f.pass(i, p); err != nil {
			return err
		}
	}
	return nil
}

// keep makes ready what was held, and all of piece but a last part, which is
// held now.
func (f *flow) keep(piece []byte) error {
	f.passed += int64(len(piece))
	if f.due >= 0 && f.passed > f.due {
		return ErrLength
	}
	if len(piece) == 0 {
		return nil
	}
	whole := (len(piece) - 1) / envoymsg.MaxChunk * envoymsg.MaxChunk
	f.add(f.held)
	f.add(piece[:whole])
	f.held = piece[whole:]
	return nil
}

func (f *flow) add(piece []byte) {
	if len(piece) > 0 {
		f.ready = append(f.ready, piece)
	}
}

// finish says that the body is over: what was held is ready then. It returns
// ErrLength when the body is shorter than declared, ErrMessage when it was over
// before, and the stages' errors.
func (f *flow) finish() error {
	if f.ended {
		return ErrMessage
	}
	if f.declared >= 0 && f.length != f.declared {
		return ErrLength
	}
	for i, s := range f.stages {
		out, err := s.Close()
		if err != nil {
			return err
		}
		if err := f.passAll(i+1, out); err != nil {
			return err
		}
	}
	if f.due >= 0 && f.passed != f.due {
		return ErrLength
	}
	f.ended = true
	f.add(f.held)
	f.held = nil
	return nil
}

// release gives out what is ready. It is good until the next take.
func (f *flow) release() [][]byte {
	ready := f.ready
	f.ready = f.ready[:0]
	return ready
}

// maxHeld is how much of a body whose head waits is held back, in bytes.
const maxHeld = 256 << 10
