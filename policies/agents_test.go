package policies_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// TestManyAgentsAtATime: more agents than are remembered, each with other groups
// now and then, all at once, are decided as each alone.
func TestManyAgentsAtATime(t *testing.T) {
	e := engine(t, `permit (principal in Credence::Group::"corp|x", action in AWS::Action::"s3:*", resource is S3::Object) when { resource.bucket == "reports" && context.session.age > 1 };
		permit (principal == Credence::Agent::"corp|7", action, resource);`)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 900 {
				f := facts([]awsapi.Action{get, put, buckets}[j%3])
				f.Principal.Subject, f.Principal.Groups = strconv.Itoa((i+j)%700), nil
				if j%2 == 0 {
					f.Principal.Groups = []string{"x"}
				}
				if diff := cmp.Diff(e.Scan(f), e.Decide(f)); diff != "" {
					t.Error(f.Principal, diff)
				}
			}
		})
	}
	all.Wait()
}
