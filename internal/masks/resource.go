package masks

import "strings"

// may reports whether a call on an ARN may be about what a rule's pattern names.
// An access point gives what is in a bucket under a name of its own. Of which
// bucket no request tells, so a call on one may be about the pattern's.
func may(pattern, arn string) bool {
	if about(pattern, arn) {
		return true
	}
	object, ok := through(bucketOf(pattern), arn)
	return ok && about(pattern, object)
}

// bucketOf is the bucket that a pattern of S3 names; "*" of any other.
func bucketOf(pattern string) string {
	_, resource, ok := strings.Cut(pattern, ":s3:::")
	if !ok {
		return "*"
	}
	bucket, _, _ := strings.Cut(resource, "/")
	return bucket
}

// through is the ARN of what an access point's ARN leads to if it is one of that
// bucket; false where the ARN is no access point's.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-access-points.html
func through(bucket, arn string) (string, bool) {
	part := strings.SplitN(arn, ":", 6) // arn, partition, service, region, account, resource
	if len(part) < 6 || !strings.HasPrefix(part[2], "s3") || part[4] == "" {
		return "", false
	}
	_, name, ok := strings.Cut(part[5], "accesspoint/")
	bucket = "arn:" + part[1] + ":s3:::" + bucket
	if _, key, object := strings.Cut(name, "/object/"); object {
		return bucket + "/" + key, ok
	}
	if part[2] != "s3" { // Object Lambda's ARNs have no keys
		return bucket + "/*", ok
	}
	return bucket, ok
}

// about reports whether a call on an ARN may be about what a rule's pattern
// names, or about something in it: an index is in its table, an object in its
// bucket. In the pattern "*" is any text. Where the call leaves open what it is
// about, its ARN has "*" for any text and "?" for any character, and any ARN
// that both describe is enough.
func about(pattern, arn string) bool {
	at := make([]bool, len(arn)+1) // places in arn that what was read of the pattern may lead to
	next := make([]bool, len(arn)+1)
	at[0] = true
	skip(at, arn)
	for i := range len(pattern) {
		clear(next)
		some := false
		for j, here := range at {
			switch {
			case pattern[i] == '*':
				some = some || here
				next[j] = some
			case !here || j == len(arn):
			case arn[j] == '*':
				next[j], some = true, true
			case arn[j] == '?' || arn[j] == pattern[i]:
				next[j+1], some = true, true
			}
		}
		if !some {
			return false
		}
		at, next = next, at
		skip(at, arn)
	}
	for j, here := range at {
		if here && (j == len(arn) || arn[j] == '/' || arn[j] == ':') {
			return true
		}
	}
	return false
}

// skip leads from each "*" of arn behind it: it may stand for no text.
func skip(at []bool, arn string) {
	for j := range len(arn) {
		at[j+1] = at[j+1] || at[j] && arn[j] == '*'
	}
}
