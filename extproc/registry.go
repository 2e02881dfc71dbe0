package extproc

import (
	"sync"
)

// registry knows the open exchanges of each session.
type registry struct {
	mu       sync.Mutex
	sessions map[string]map[*exchange]struct{} // guarded by mu; no empty inner map
}

func (r *registry) add(session string, x *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.sessions[session]
	if of == nil {
		of = map[*exchange]struct{}{}
		r.sessions[session] = of
	}
	of[x] = struct{}{}
}

func (r *registry) remove(session string, x *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions[session], x)
	if len(r.sessions[session]) == 0 {
		delete(r.sessions, session)
	}
}

func (r *registry) of(session string) []*exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*exchange, 0, len(r.sessions[session]))
	for x := range r.sessions[session] {
		list = append(list, x)
	}
	return list
}

// Kill cuts every open exchange of a session and returns how many there were.
// An upload fails at AWS, a response ends incomplete at the agent, in every
// class. The session must be refused by Config.Live before Kill is called.
func (s *Server) Kill(session string) int {
	list := s.open.of(session)
	var all sync.WaitGroup
	for _, x := range list {
		all.Go(x.kill)
	}
	all.Wait()
	return len(list)
}
