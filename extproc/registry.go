package extproc

import (
	"sync"
)

// registry knows the open exchanges of each session.
type registry struct {
	mu       sync.Mutex
	sessions map[string]*exchange // guarded by mu: the first of each list
}

// siblings are an exchange's neighbours in the list of its session.
type siblings struct{ before, after *exchange }

func (r *registry) add(session string, x *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.sessions[session]
	if first != nil {
		first.siblings.before = x
	}
	x.siblings = siblings{after: first}
	r.sessions[session] = x
}

func (r *registry) remove(session string, x *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, after := x.siblings.before, x.siblings.after
	if after != nil {
		after.siblings.before = before
	}
	switch {
	case before != nil:
		before.siblings.after = after
	case r.sessions[session] != x: // it was taken out before
	case after != nil:
		r.sessions[session] = after
	default:
		delete(r.sessions, session)
	}
	x.siblings = siblings{}
}

func (r *registry) of(session string) []*exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*exchange
	for x := r.sessions[session]; x != nil; x = x.siblings.after {
		list = append(list, x)
	}
	return list
}

// Kill cuts every open exchange of some sessions and returns how many there were.
// An upload fails at AWS, a response ends incomplete at the agent, in every
// class. The sessions must be refused by Config.Live before Kill is called.
func (s *Server) Kill(sessions ...string) int {
	var list []*exchange
	for _, id := range sessions {
		list = append(list, s.open.of(id)...)
	}
	var all sync.WaitGroup
	for _, x := range list {
		all.Go(x.kill)
	}
	all.Wait()
	return len(list)
}
