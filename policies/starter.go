package policies

import (
	"bytes"
	_ "embed" // the starter policies
	"text/template"
)

//go:embed starter/agents.cedar
var starter string

var starterTemplate = template.Must(template.New("agents.cedar").Parse(starter))

// Starter returns a first policy file for the agents of an issuer.
func Starter(issuer string) ([]byte, error) {
	var b bytes.Buffer
	err := starterTemplate.Execute(&b, struct{ Issuer string }{issuer})
	return b.Bytes(), err
}
