package awsapi

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// statement finds what a statement of PartiQL is about, by the grammar that
// DynamoDB has of it: one table, or one index of a table.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html
//
//	SELECT … FROM table[.index] …     EXISTS ( SELECT … )
//	INSERT INTO table VALUE …
//	UPDATE table SET …
//	DELETE FROM table WHERE …
//
// Anything that could be read in another way, such as a second FROM, a comment or
// an Ion literal, is refused: ok is false.
func statement(text string) (table, index string, ok bool) {
	words, ok := statementWords(text)
	if !ok || len(words) == 0 {
		return "", "", false
	}
	at := 1
	switch strings.ToUpper(words[0]) {
	case "INSERT":
		ok, at = keyword(words, 1, "INTO"), 2
	case "DELETE":
		ok, at = keyword(words, 1, "FROM"), 2
	case "SELECT", "EXISTS":
		at = 1 + slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, "FROM") })
	}
	if !ok || at == 0 || strays(words, at) {
		return "", "", false
	}
	if table, ok = tableName(words, at); !ok {
		return "", "", false
	}
	if keyword(words, at+1, ".") {
		index, ok = tableName(words, at+2)
		at += 2
	}
	return table, index, ok && goesOn(words, at+1)
}

// goesOn reports whether a name has ended before the word at a place: behind it
// stand the end, a closing bracket, a keyword or an alias.
func goesOn(words []string, at int) bool {
	return at >= len(words) || words[at] == ")" || run(words[at], false) > 0
}

// strays reports a keyword that could name another table than the word at a
// place.
func strays(words []string, at int) bool {
	for i, w := range words {
		if i != at-1 && (strings.EqualFold(w, "FROM") || strings.EqualFold(w, "INTO") || strings.EqualFold(w, "JOIN")) {
			return true
		}
	}
	return false
}

func keyword(words []string, at int, word string) bool {
	return at < len(words) && strings.EqualFold(words[at], word)
}

// tableName reads a name, in double quotes or without.
func tableName(words []string, at int) (string, bool) {
	if at >= len(words) {
		return "", false
	}
	name, quoted := strings.CutPrefix(words[at], `"`)
	name = strings.TrimSuffix(name, `"`)
	return name, name != "" && run(name, quoted) == len(name)
}

// run is how many of a name's characters stand at the start of s. Outside of
// quotes "." and "-" are none.
func run(s string, quoted bool) int {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !letter && !(quoted && (c == '.' || c == '-')) {
			return i
		}
	}
	return len(s)
}

// statementWords takes a statement apart: words, names in their double quotes,
// and single characters of everything else; a text in single quotes is "'". A
// closing semicolon is left out.
func statementWords(text string) ([]string, bool) {
	text = strings.TrimSuffix(strings.TrimSpace(text), ";")
	var words []string
	for text != "" {
		n := 1
		switch c := text[0]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			text = text[1:]
			continue
		case c == '`' || c == ';' || strings.HasPrefix(text, "--") || strings.HasPrefix(text, "/*"):
			return nil, false
		case c == '\'' || c == '"':
			end := strings.IndexByte(text[1:], c)
			if end < 0 {
				return nil, false
			}
			n = end + 2
			if n < len(text) && text[n] == c && c == '"' { // a quote in a name, which no table has
				return nil, false
			}
		default:
			n = max(run(text, false), 1)
		}
		if word := text[:n]; word[0] == '\'' {
			words = append(words, "'") // and, of two quotes in a text, another
		} else {
			words = append(words, word)
		}
		text = text[n:]
	}
	return words, true
}

const partiQL = "dynamodb:PartiQL"

// stated is the resource of a statement.
func (e *evaluation) stated(_ *model.Rule, at any) ([]Resource, error) {
	input, _ := at.(map[string]any)
	text, _ := input["Statement"].(string)
	table, index, ok := statement(text)
	if !ok {
		return nil, refuse("resource-name", "the statement does not name one table, or one index of one, in a form that is known")
	}
	kind, more := "table", vars{{"TableName", table}}
	if index != "" {
		kind, more = "index", append(more, variable{"IndexName", index})
	}
	i := slices.IndexFunc(e.service.types, func(t *arnType) bool { return t.Prefix == "dynamodb" && t.Type.Type == kind })
	return []Resource{e.service.types[i].resource(slices.Concat(e.scope, more))}, nil
}
