// Package nearest finds the name that a misspelt one was meant to be.
package nearest

import (
	"fmt"
	"slices"
	"strings"
)

// Hint returns `: did you mean "x"?` for the name nearest to word, or `: known
// are a, b` when there are few names and none is near, or "".
func Hint(word string, names []string) string {
	if best := find(word, names); best != "" {
		return fmt.Sprintf(": did you mean %q?", best)
	}
	if len(names) == 0 || len(names) > 16 {
		return ""
	}
	sorted := slices.Sorted(slices.Values(names))
	return ": known are " + strings.Join(sorted, ", ")
}

// find returns the name with the smallest edit distance to word, ignoring
// case, or "" when none is within a third of the word's length plus one.
// Among equals the first in sort order wins.
func find(word string, names []string) string {
	best, least := "", len(word)/3+2
	for _, name := range names {
		d := distance(strings.ToLower(word), strings.ToLower(name))
		if d < least || d == least && best != "" && name < best {
			best, least = name, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
