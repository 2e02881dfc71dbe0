package whole_test

import (
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/gateway"
)

// uploads permits those of other services than S3.
const uploads = gateway.MayLogin + `
permit (principal, action in [
  AWS::Action::"glacier:UploadArchive", AWS::Action::"glacier:UploadMultipartPart", AWS::Action::"codeartifact:PublishPackageVersion",
  AWS::Action::"mediastore:PutObject", AWS::Action::"omics:UploadReadSetPart", AWS::Action::"ebs:PutSnapshotBlock", AWS::Action::"lex:PostContent",
  AWS::Action::"lex:RecognizeUtterance", AWS::Action::"cloudsearch:document", AWS::Action::"lambda:InvokeAsync",
  AWS::Action::"s3-object-lambda:WriteGetObjectResponse"
], resource);
`

// Uploads that are not S3's arrive whole, with a signature of the gateway's that
// holds, and are in the record with what was sent.
func TestUploadsOutsideS3(t *testing.T) {
	v, _ := gateway.Up(t, gateway.Config{Policy: uploads, Answer: func(c *awsfake.Call) {
		switch {
		case !c.ReadBody():
		case gateway.AssumeRole(c):
		case strings.HasSuffix(c.Target, "/invoke-async"):
			c.Reply(http.StatusAccepted, "")
		default:
			c.Reply(http.StatusOK, "{}")
		}
	}})
	u := &unit{v}
	cmd := exec.Command(python(t), "testdata/uploads.py")
	cmd.Env = u.environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	type upload struct {
		Path   string
		Length int64
	}
	const big, speech = 3 << 20, 1_900_000
	want := []upload{
		{"/-/vaults/tapes/archives", big}, {"/-/vaults/tapes/multipart-uploads/u1", big}, {"/v1/package/version/publish", big}, {"/a/b.mp4", big},
		{"/sequencestore/1234567890/upload/2345678901/part", big}, {"/snapshots/snap-1/blocks/7", 512 << 10}, {"/bot/orders/alias/prod/user/u1/content", speech},
		{"/bots/BOT1234567/botAliases/TSTALIASID/botLocales/en_US/sessions/s1/utterance", speech},
		{"/2013-01-01/documents/batch", 2<<20 + 2}, {"/2014-11-13/functions/nightly/invoke-async", 2}, {"/WriteGetObjectResponse", big},
	}
	var got []upload
	sent := map[string]bool{}
	for _, r := range u.Upstream.Requests() {
		path, _, _ := strings.Cut(r.Target, "?")
		if path == "/" { // STS
			continue
		}
		got = append(got, upload{path, r.Length})
		sent["sha256:"+r.SHA256] = true
		if !r.Whole || r.Signature != nil {
			t.Errorf("%s: whole %t, signature: %v", path, r.Whole, r.Signature)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the upstream got (-want +got):\n%s", diff)
	}
	for _, begin := range u.Leaves() {
		if begin.Type != string(audit.CallBegin) {
			continue
		}
		i := slices.IndexFunc(u.Leaves(), func(l gateway.Leaf) bool { return l.Call == begin.Call && l.Type == string(audit.CallEnd) })
		if i < 0 {
			t.Errorf("%s has no end", begin.Name)
			continue
		}
		end := u.Leaves()[i]
		if end.Outcome != "complete" || !sent[begin.Request.Body] && !sent[end.Request.Body] {
			t.Errorf("the record of %s says %s, %q, %q", begin.Name, end.Outcome, begin.Request.Body, end.Request.Body)
		}
	}
}
