package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// corpusText is the last nightly tally of TestCorpus in Markdown.
func corpusText(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	var rows strings.Builder
	sums := make([]int, strings.Count(lines[0], "\t")-1)
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		if len(cells) != len(sums)+2 {
			return "", fmt.Errorf("%s: line %d has %d cells", file, i+1, len(cells))
		}
		rows.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		if i == 0 {
			rows.WriteString(strings.Repeat("| --- ", len(cells)) + "|\n")
			continue
		}
		for j, cell := range cells[2:] {
			n, err := strconv.Atoi(cell)
			if err != nil {
				return "", fmt.Errorf("%s: line %d: %w", file, i+1, err)
			}
			sums[j] += n
		}
	}
	rows.WriteString("| all | ")
	for _, n := range sums {
		fmt.Fprintf(&rows, "| %d ", n)
	}
	return corpusIntro + rows.String() + "|\n", nil
}

const corpusIntro = `
## Identification

What Identify makes of botocore's requests: every operation, with its required members and with all, in every protocol
that its service lists, addressed by the gateway's IP address, by the gateway's name (with host prefixes) and natively.
` + "`CREDENCE_NIGHTLY=1 go test -run TestCorpus ./internal/awsapi`" + ` makes these numbers; a tenth of them is made in every test run.
Services that share a form (rds, neptune and docdb) have the same operation with the same IAM actions. A sample name is
one that botocore's models allow and the service's ARNs do not: the operation was identified. Refused on purpose are
unsigned calls, SigV2 and what directory buckets don't have.

`
