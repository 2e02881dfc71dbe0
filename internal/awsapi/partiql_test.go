package awsapi_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestStatements: a statement of PartiQL is about the table that it names.
func TestStatements(t *testing.T) {
	catalog := load(t)
	const table = "arn:aws:dynamodb:us-east-1:111122223333:table/"
	for text, want := range map[string]string{
		`SELECT * FROM people`: "people",
		`select a, "from", 'it''s FROM orders' from "people" where b = ?`: "people",
		"SELECT\n*\tFROM\r\n\"people\" p WHERE p.a IN ['x']":              "people",
		`SELECT * FROM "people"."by-name" WHERE x = 1 ORDER BY y DESC`:    "people/index/by-name",
		`SELECT * FROM people.byName`:                                     "people/index/byName",
		`EXISTS(SELECT * FROM "people" WHERE id = '1')`:                   "people",
		`INSERT INTO "my-table.v2" VALUE {'id': '1', 'from': 'FROM'}`:     "my-table.v2",
		`UPDATE "people" SET a = 'x' WHERE id = '1' RETURNING ALL OLD *`:  "people",
		`update people remove a where id = '1';`:                          "people",
		`DELETE FROM people WHERE id = '1'`:                               "people",

		``:                                     "",
		`SELECT * FROM`:                        "",
		`SELECT *`:                             "",
		`SELECT * FROM orders, people`:         "",
		`SELECT * FROM orders JOIN people`:     "",
		`SELECT * FROM (SELECT * FROM people)`: "",
		`SELECT (SELECT a FROM people) FROM orders`:                 "",
		`SELECT * FROM orders WHERE a IN (SELECT b FROM people)`:    "",
		`SELECT * FROM orders -- FROM people`:                       "",
		`SELECT /* FROM people */ * FROM orders`:                    "",
		"SELECT `FROM people` FROM orders":                          "",
		`SELECT * FROM orders; SELECT * FROM people`:                "",
		`SELECT * FROM "orders" "people`:                            "",
		`SELECT * FROM "or""ders"`:                                  "",
		`SELECT * FROM or-ders`:                                     "",
		`SELECT * FROM a.b.c`:                                       "",
		`SELECT * FROM "arn:aws:dynamodb:us-east-1:1:table/people"`: "",
		`SELECT * FROM 'people'`:                                    "",
		"SELECT * FROM\u00a0people":                                 "",
		`INSERT people VALUE {}`:                                    "",
		`DELETE people WHERE id = '1'`:                              "",
		`INSERT INTO orders VALUE {} INTO people`:                   "",
		`UPDATE orders FROM people`:                                 "",
		`DROP TABLE people`:                                         "",
	} {
		body, err := json.Marshal(map[string]string{"Statement": text})
		if err != nil {
			t.Fatal(err)
		}
		call, err := rpc("dynamodb", "ExecuteStatement", string(body)).identify(catalog)
		switch {
		case want == "" && err == nil:
			t.Errorf("%s is about %s", text, call.Actions[0].Resources[0].ARN)
		case want == "":
		case err != nil:
			t.Errorf("%s: %v", text, err)
		default:
			r := call.Actions[0].Resources[0]
			if r.ARN != table+want || r.Wildcard || strings.Contains(strings.Join(r.Container, " "), table+"*") {
				t.Errorf("%s is about %+v, want %s", text, r, want)
			}
		}
	}
}
