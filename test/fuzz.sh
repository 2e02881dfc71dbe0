#!/usr/bin/env bash
# Runs every fuzz target of the module, one after another, for the time given
# (default: 30s each). Ends with 1 when one of them found something; the input is
# then a file below that package's testdata/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s} failed=0
while IFS=: read -r file target; do
	target=${target#func } target=${target%%(*}
	package=./$(dirname "$file")
	printf '== %s  %s %s\n' "$(date -u +%H:%M:%S)" "$package" "$target"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || failed=1
done < <(git grep -o '^func Fuzz[A-Za-z0-9_]*(' -- '*_test.go')
exit "$failed"
