package masks

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
