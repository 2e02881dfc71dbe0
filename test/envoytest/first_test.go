package envoytest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Many calls at once may be the first that need an upstream: each is answered,
// is admitted once, and reaches the upstream once.
func TestFirstCallsAtOnce(t *testing.T) {
	const calls = 32
	for _, body := range []string{"", "hello"} {
		for round := range 5 {
			u := newUpstream(t, nil)
			a := &authz{decide: byClass}
			g := u.start(t, a, &proc{lengths: true})
			var clients sync.WaitGroup
			for i := range calls {
				clients.Go(func() {
					client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
					if err := put(&client, fmt.Sprintf("%s/%s/k%d", g.URL, classes[i%len(classes)], i), body); err != nil {
						t.Error(round, err)
					}
				})
			}
			clients.Wait()
			if n := len(a.seen()); n != calls || u.count() != calls {
				t.Errorf("%d calls were checked %d times and sent %d times", calls, n, u.count())
			}
			if t.Failed() {
				t.Fatal(g.Ask("/stats?filter=(rq_active|rq_pending|odcds|cluster_manager|ext_proc|credence)"))
			}
			g.Stop()
		}
	}
}

func put(client *http.Client, url, body string) error {
	r, err := http.NewRequest(http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", credential)
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", answer.Status)
	}
	return nil
}
