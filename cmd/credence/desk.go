package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/console"
	"github.com/credence-gateway/credence/internal/replay"
	"github.com/credence-gateway/credence/internal/state"
)

// desk is the console's API as the verbs ask it: the running gateway's over its
// socket, or this process's own over the same files when none runs.
type desk struct {
	client http.Client
	close  func() error
	fault  error // why this process's own API failed
}

// consoleSocket is where the running gateway's console listens.
func consoleSocket(cfg *config.Config) string { return filepath.Join(cfg.State, "console.sock") }

func openDesk(cfg *config.Config) (*desk, error) {
	if c, err := net.Dial("unix", consoleSocket(cfg)); err == nil {
		_ = c.Close()
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", consoleSocket(cfg))
		}
		return &desk{client: http.Client{Transport: &http.Transport{DialContext: dial}}, close: func() error { return nil }}, nil
	}
	if _, err := logDir(cfg.File, cfg.Audit.Dir); err != nil {
		return nil, err
	}
	index, err := replay.OpenIndex(filepath.Join(cfg.State, "index.sqlite"), replay.Folder(cfg.Audit.Dir))
	if err != nil {
		return nil, err
	}
	remote, err := shipRecordings(cfg, nil)
	if err != nil {
		return nil, errors.Join(err, index.Close())
	}
	record, d := lateLog{cfg: cfg}, &desk{}
	h, err := console.New(console.Config{
		Kill: func(ctx context.Context, sessions []string, reason string) (int, error) {
			return 0, withState(ctx, cfg, func(s *state.Store) error { return keepEnded(ctx, s, sessions, reason) })
		},
		EndAgent: func(ctx context.Context, agent string, before time.Time, reason string) error {
			return withState(ctx, cfg, func(s *state.Store) error { return keepAgent(ctx, s, agent, before, reason) })
		},
		Index: index, Log: replay.Folder(cfg.Audit.Dir), Record: record.append,
		Erase: func(ctx context.Context, session string, say func([]string) error) error {
			return bodies.Erase(ctx, cfg.Recording.Dir, remote, session, say)
		},
		Fault: func(err error) { d.fault = err },
	})
	if err != nil {
		return nil, err
	}
	d.client.Transport = within{h}
	d.close = func() error { return errors.Join(record.close(), index.Close()) }
	return d, nil
}

// withState does something with the state file. Its error is console.ErrState.
func withState(ctx context.Context, cfg *config.Config, do func(*state.Store) error) error {
	s, err := openState(ctx, cfg)
	if err != nil {
		return unkept(err)
	}
	return errors.Join(do(s), unkept(s.Close()))
}

// lateLog opens the log when something is to be recorded: reading needs none.
type lateLog struct {
	cfg *config.Config
	log *audit.Log
}

func (l *lateLog) append(ctx context.Context, e *audit.Event) (err error) {
	if l.log == nil {
		if l.log, err = audit.Open(audit.Config{Dir: l.cfg.Audit.Dir, Origin: l.cfg.Audit.Origin}); err != nil {
			return fmt.Errorf("what is read must be recorded, and the log can't be opened: %w", err)
		}
	}
	_, err = l.log.Append(ctx, signed(e))
	return err
}

func (l *lateLog) close() error {
	if l.log == nil {
		return nil
	}
	return l.log.Close()
}

// signed says who acted on this host: the console's socket is one user's own.
func signed(e *audit.Event) *audit.Event {
	if e.Detail == nil {
		e.Detail = map[string]string{}
	}
	e.Detail["by"] = fmt.Sprintf("uid %d", os.Getuid())
	return e
}

// within is a transport to a handler of this process.
type within struct{ h http.Handler }

// RoundTrip implements http.RoundTripper.
func (t within) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &answered{header: http.Header{}, status: http.StatusOK}
	t.h.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

// answered is an http.ResponseWriter in memory.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answered) Header() http.Header         { return a.header }
func (a *answered) Write(p []byte) (int, error) { return a.body.Write(p) }
func (a *answered) WriteHeader(status int)      { a.status = status }

// get asks a question and reads the answer into v.
func (d *desk) get(ctx context.Context, path string, q url.Values, v any) error {
	return d.ask(ctx, http.MethodGet, path+"?"+q.Encode(), nil, v)
}

// post does something; v may be nil.
func (d *desk) post(ctx context.Context, path string, body, v any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return d.ask(ctx, http.MethodPost, path, data, v)
}

func (d *desk) ask(ctx context.Context, method, path string, body []byte, v any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://credence"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := d.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // read only
	if answer.StatusCode != http.StatusOK {
		var said struct{ Error string }
		if err := json.NewDecoder(answer.Body).Decode(&said); err != nil || said.Error == "" {
			return fmt.Errorf("the console answered %s", answer.Status)
		}
		if answer.StatusCode == http.StatusBadRequest {
			return usageError{errors.New(said.Error)}
		}
		if d.fault != nil && said.Error == console.Failed {
			return d.fault
		}
		return errors.New(said.Error)
	}
	if v == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(v)
}

// openReader opens recordings by an age identity file and by KMS.
func openReader(cfg *config.Config, identity string) (*bodies.Reader, error) {
	if identity == "" {
		identity = cfg.Recording.Identity
	}
	identities, err := readIdentities(identity)
	if err != nil {
		return nil, err
	}
	for _, r := range cfg.Recording.Recipients {
		if strings.HasPrefix(r, "arn:") {
			identities = append(identities, bodies.NewKMSIdentity(newKMS(nil)))
			break
		}
	}
	if len(identities) == 0 {
		return nil, errors.New("recordings are encrypted: name the age identity that opens them with --identity FILE, or set recording.identity")
	}
	return bodies.NewReader(cfg.Recording.Dir, identities...), nil
}

// readIdentities reads an age identity file; none when file is "".
func readIdentities(file string) ([]age.Identity, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	list, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("%s holds no age identity (AGE-SECRET-KEY-1…): %w", file, err)
	}
	return list, nil
}
