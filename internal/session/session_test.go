package session_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
)

type clock struct{ now time.Time }

func keeper(t testing.TB, ring *secret.Ring, revoked ...string) (*session.Keeper, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	k, err := session.New(session.Config{Ring: ring, Now: func() time.Time { return c.now }, Revoked: func(s session.Session) bool {
		return len(revoked) > 0 && revoked[0] == s.ID
	}})
	if err != nil {
		t.Fatal(err)
	}
	return k, c
}

func sample(c *clock) session.Session {
	return session.Session{
		ID: session.NewID(), Role: "reader", Name: "nightly", Issued: c.now, Expires: c.now.Add(time.Hour), Proven: c.now.Add(-time.Minute),
		Principal: identity.Principal{
			Issuer: "corp", Subject: "agent-7", Groups: []string{"agents", "reporting"},
			Chain: []identity.Actor{{Issuer: "corp", Subject: "alice"}},
		},
		Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
}

func issue(t testing.TB, k *session.Keeper, s session.Session) session.Keys {
	t.Helper()
	keys, err := k.Issue(s)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestIssuedOpens(t *testing.T) {
	k, c := keeper(t, secret.NewRing())
	want := sample(c)
	keys := issue(t, k, want)
	if len(keys.AccessKeyID) != 20 || !strings.HasPrefix(keys.AccessKeyID, "CRDN") || len(keys.Secret.Reveal()) != 40 {
		t.Errorf("the keys are not of AWS's shape: %s", keys.AccessKeyID)
	}
	for range 2 { // opened, then remembered
		got, key, err := k.Open(keys.AccessKeyID, keys.SessionToken.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Error(diff)
		}
		if key.Reveal() != keys.Secret.Reveal() {
			t.Error("another secret")
		}
	}
}

// TestShortestToken: what a session says at the least makes a token that opens.
func TestShortestToken(t *testing.T) {
	k, c := keeper(t, secret.NewRing())
	keys := issue(t, k, session.Session{ID: "s", Role: "r", Issued: c.now, Expires: c.now.Add(time.Second), Principal: identity.Principal{Issuer: "i", Subject: "s"}})
	if _, _, err := k.Open(keys.AccessKeyID, keys.SessionToken.Reveal()); err != nil {
		t.Errorf("%d bytes: %v", len(keys.SessionToken.Reveal()), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	ring := secret.NewRing()
	k, c := keeper(t, ring)
	a, b := issue(t, k, sample(c)), issue(t, k, sample(c))
	token := a.SessionToken.Reveal()
	stranger, _ := keeper(t, secret.NewRing())
	strange := issue(t, stranger, sample(c))
	other := "A" // what is no base64 has an error of its own
	if token[40] == 'A' {
		other = "B"
	}
	for name, tt := range map[string]struct {
		id, token string
		want      error
	}{
		"an AWS key":               {"AKIAIOSFODNN7EXAMPLE", "", session.ErrRealKey},
		"an AWS session key":       {"ASIAIOSFODNN7EXAMPLE", token, session.ErrRealKey},
		"no token":                 {a.AccessKeyID, "", session.ErrTokenForm},
		"the token of another key": {a.AccessKeyID, b.SessionToken.Reveal(), session.ErrUnknownKey},
		"another gateway's":        {strange.AccessKeyID, strange.SessionToken.Reveal(), session.ErrUnknownKey},
		"another character":        {a.AccessKeyID, token[:40] + other + token[41:], session.ErrUnknownKey},
		"cut":                      {a.AccessKeyID, token[:len(token)-4], session.ErrUnknownKey},
		"too long":                 {a.AccessKeyID, token + strings.Repeat("A", 2000), session.ErrTokenForm},
		"a line end in it":         {a.AccessKeyID, token[:40] + "\n" + token[40:], session.ErrTokenForm},
		"a line end after it":      {a.AccessKeyID, token + "\n", session.ErrTokenForm},
		"an id with a line end":    {a.AccessKeyID[:19] + "\n", token, session.ErrKeyForm},
		"no base64":                {a.AccessKeyID, token + "=", session.ErrTokenForm},
		"an id of another form":    {"CRDN", token, session.ErrKeyForm},
		"lower case":               {strings.ToLower(a.AccessKeyID), token, session.ErrKeyForm},
		"digits of no base32":      {"CRDN0189AAAAAAAAAAAA", token, session.ErrKeyForm},
		"nothing":                  {"", "", session.ErrKeyForm},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := k.Open(tt.id, tt.token); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestExpiresAlsoWhenRemembered(t *testing.T) {
	k, c := keeper(t, secret.NewRing())
	keys := issue(t, k, sample(c))
	if _, _, err := k.Open(keys.AccessKeyID, keys.SessionToken.Reveal()); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(time.Hour)
	if _, _, err := k.Open(keys.AccessKeyID, keys.SessionToken.Reveal()); !errors.Is(err, session.ErrExpired) {
		t.Error(err)
	}
}

func TestRevoked(t *testing.T) {
	ring := secret.NewRing()
	k, c := keeper(t, ring)
	s := sample(c)
	keys := issue(t, k, s)
	other, _ := keeper(t, ring, s.ID)
	if _, _, err := other.Open(keys.AccessKeyID, keys.SessionToken.Reveal()); !errors.Is(err, session.ErrRevoked) {
		t.Error(err)
	}
}

func TestRotationKeepsSessions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if err := secret.CreateRing(dir, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	open := func() *secret.Ring {
		r, err := secret.OpenRing(dir)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	k, c := keeper(t, open())
	before := issue(t, k, sample(c))
	if err := secret.AddKey(dir, time.Unix(2, 0)); err != nil {
		t.Fatal(err)
	}
	rotated, _ := keeper(t, open())
	after := issue(t, rotated, sample(c))
	for name, keys := range map[string]session.Keys{"older": before, "newer": after} {
		if _, key, err := rotated.Open(keys.AccessKeyID, keys.SessionToken.Reveal()); err != nil || key.Reveal() != keys.Secret.Reveal() {
			t.Error(name, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	retired, _ := keeper(t, open())
	if _, _, err := retired.Open(before.AccessKeyID, before.SessionToken.Reveal()); !errors.Is(err, session.ErrUnknownKey) {
		t.Error("a session of a retired key:", err)
	}
}

func TestIncompleteSessionsAreNotIssued(t *testing.T) {
	k, c := keeper(t, secret.NewRing())
	for name, edit := range map[string]func(*session.Session){
		"nobody":         func(s *session.Session) { s.Principal = identity.Principal{} },
		"no subject":     func(s *session.Session) { s.Principal.Subject = "" },
		"no issuer":      func(s *session.Session) { s.Principal.Issuer = "" },
		"no role":        func(s *session.Session) { s.Role = "" },
		"no id":          func(s *session.Session) { s.ID = "" },
		"ends at once":   func(s *session.Session) { s.Expires = s.Issued },
		"without an end": func(s *session.Session) { s.Expires = time.Time{} },
	} {
		s := sample(c)
		edit(&s)
		if _, err := k.Issue(s); !errors.Is(err, session.ErrIncomplete) {
			t.Error(name, err)
		}
	}
	if _, err := session.New(session.Config{}); err == nil {
		t.Error("a keeper without a ring")
	}
}

// TestNothingPrints: neither keys nor sessions give a secret away.
func TestNothingPrints(t *testing.T) {
	k, c := keeper(t, secret.NewRing())
	keys := issue(t, k, sample(c))
	if _, _, err := k.Open(keys.AccessKeyID, keys.SessionToken.Reveal()); err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %v %+v", keys, keys, keys, k, k)
	for _, never := range []string{keys.Secret.Reveal(), keys.SessionToken.Reveal()} {
		if strings.Contains(all, never) {
			t.Error(all)
		}
	}
}

// TestManyTokens fills the cache over its bound and opens all the while.
func TestManyTokens(t *testing.T) {
	k, c := keeper(t, secret.NewRing())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5000 {
				keys, err := k.Issue(sample(c))
				if err != nil {
					t.Error(err)
					return
				}
				if _, key, err := k.Open(keys.AccessKeyID, keys.SessionToken.Reveal()); err != nil || key.Reveal() != keys.Secret.Reveal() {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestTooManyGroups(t *testing.T) {
	k, c := keeper(t, secret.NewRing())
	s := sample(c)
	for range 200 {
		s.Principal.Groups = append(s.Principal.Groups, "a-group-with-a-long-name")
	}
	if _, err := k.Issue(s); !errors.Is(err, session.ErrTooLarge) {
		t.Error(err)
	}
}

func FuzzOpen(f *testing.F) {
	k, c := keeper(f, secret.NewRing())
	keys := issue(f, k, sample(c))
	other, _ := keeper(f, secret.NewRing())
	f.Add(keys.AccessKeyID, keys.SessionToken.Reveal())
	f.Add("CRDN2222222222222222", "AAAA")
	f.Fuzz(func(t *testing.T, id, token string) {
		if _, _, err := other.Open(id, token); err == nil {
			t.Error("opened")
		}
	})
}

// BenchmarkOpenFirst opens a token that was not seen before.
func BenchmarkOpenFirst(b *testing.B) {
	ring := secret.NewRing()
	k, c := keeper(b, ring)
	keys := issue(b, k, sample(c))
	id, token := keys.AccessKeyID, keys.SessionToken.Reveal()
	keepers := make([]*session.Keeper, 0, 1024)
	for range cap(keepers) {
		fresh, _ := keeper(b, ring)
		keepers = append(keepers, fresh)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n == len(keepers) {
			b.StopTimer()
			for i := range keepers {
				keepers[i], _ = keeper(b, ring)
			}
			n = 0
			b.StartTimer()
		}
		if _, _, err := keepers[n].Open(id, token); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// BenchmarkOpenUnknown opens what this gateway did not make.
func BenchmarkOpenUnknown(b *testing.B) {
	k, _ := keeper(b, secret.NewRing())
	other, c := keeper(b, secret.NewRing())
	keys := issue(b, other, sample(c))
	id, token := keys.AccessKeyID, keys.SessionToken.Reveal()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := k.Open(id, token); err == nil {
			b.Fatal("opened")
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k, c := keeper(b, secret.NewRing())
	keys := issue(b, k, sample(c))
	id, token := keys.AccessKeyID, keys.SessionToken.Reveal()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := k.Open(id, token); err != nil {
			b.Fatal(err)
		}
	}
}
