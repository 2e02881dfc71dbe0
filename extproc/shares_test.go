package extproc_test

import (
	"cmp"
	"regexp"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// meanwhile runs an exchange of a principal's from begin to end while s is open.
func (s *stream) meanwhile(t *testing.T, principal byte, other *stream) string {
	t.Helper()
	other.of(principal)
	other.method, other.hash = cmp.Or(other.method, s.method), cmp.Or(other.hash, s.hash)
	s.beside = other
	if err := s.server.Process(other); err != nil {
		t.Error(err)
	}
	s.beside = nil
	return strings.Join(other.transcript, " ")
}

// of makes the exchange one of a principal's.
func (s *stream) of(principal byte) *stream {
	edit := s.edit
	s.edit = func(g *grant.Grant) {
		if edit != nil {
			edit(g)
		}
		g.Principal[0] = principal
	}
	return s
}

// Nobody has more calls open than he leaves to others.
func TestExchangesArePerPrincipal(t *testing.T) {
	get := func() *stream {
		return &stream{class: grant.None, method: "GET", events: strings.Fields("Q. R200.")}
	}
	const good, bad = "Q log:complete R", "log:refused:session-calls !503"
	s := (&stream{class: grant.None, method: "GET", events: strings.Fields("Q. O R200.")}).of(1)
	s.configure = func(c *extproc.Config) { c.Calls = 3 }
	s.others = func() {
		for range 5 { // what is over is given back, and what is refused takes nothing
			if got := s.meanwhile(t, 1, get()); got != bad {
				t.Errorf("a second of the same principal: %s", got)
			}
			if got := s.meanwhile(t, 2, get()); got != good {
				t.Errorf("a first of another: %s", got)
			}
		}
	}
	if got := s.run(t); got != good {
		t.Error(got)
	}
}

// Nobody holds more of signed chunks that are not whole than he leaves to others.
func TestHeldChunksArePerPrincipal(t *testing.T) {
	const chunk = 10 << 10
	for _, form := range chunkForms {
		t.Run(form, func(t *testing.T) {
			upload := func() *stream { return uploadStream(t, form, pattern(30_000), chunk, 3_000) }
			good := unsigned(upload().run(t))
			bad := "log:refused:session-chunks !503"
			s := upload().of(1)
			s.configure = func(c *extproc.Config) { c.Memory = 3 * (chunk + 100) }
			at := 1 + (chunk-1)/3_000 // 9 of 10 KiB are held
			s.events = append(s.events[:at:at], append([]string{"O"}, s.events[at:]...)...)
			s.others = func() {
				for range 5 {
					got := s.meanwhile(t, 1, upload())
					if refused := strings.HasSuffix(got, bad); refused != (form != sigv4.StreamingUnsigned) {
						t.Errorf("a second of the same principal: %s", got)
					}
					if got := unsigned(s.meanwhile(t, 2, upload())); got != good {
						t.Errorf("a first of another: %s", got)
					}
				}
			}
			if got := unsigned(s.run(t)); got != good {
				t.Error(got)
			}
		})
	}
}

var signatures = regexp.MustCompile(`signature[=:][0-9a-f]{64}`)

// unsigned is what came out, without the signatures, which differ from one second
// to the next.
func unsigned(got string) string { return signatures.ReplaceAllString(got, "signed") }
