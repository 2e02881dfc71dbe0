package awsapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
)

func TestSuppose(t *testing.T) {
	c, err := awsapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	call, err := c.Suppose(awsapi.OperationID{Service: "s3", Operation: "GetObject"}, map[string]any{"Bucket": "reports", "Key": "k/1"},
		awsapi.Where{Region: "us-east-1", Account: "111122223333"})
	if err != nil {
		t.Fatal(err)
	}
	if len(call.Actions) != 1 || call.Actions[0].Name != "s3:GetObject" || call.Actions[0].Resources[0].ARN != "arn:aws:s3:::reports/k/1" {
		t.Errorf("%+v", call.Actions)
	}
	for _, id := range []awsapi.OperationID{{Service: "s4", Operation: "GetObject"}, {Service: "s3", Operation: "GetObjekt"}} {
		if _, err := c.Suppose(id, nil, awsapi.Where{}); err == nil {
			t.Errorf("%v is known", id)
		}
	}
}

func TestSupposeAction(t *testing.T) {
	c, err := awsapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		action, arn string
		kind        string
		vars        map[string]string
	}{
		{"s3:GetObject", "arn:aws:s3:::b/k/1", "object", map[string]string{"bucket": "b", "key": "k/1"}},
		{"dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:111122223333:table/orders", "table", map[string]string{"tableName": "orders"}},
		{"s3:ListAllMyBuckets", "*", "", nil},
		{"s3:GetObject", "*", "", nil},
	} {
		a, err := c.SupposeAction(tt.action, tt.arn)
		if err != nil {
			t.Errorf("%s on %s: %v", tt.action, tt.arn, err)
			continue
		}
		r := a.Resources[0]
		if diff := cmp.Diff(tt.vars, r.Vars); r.Type != tt.kind || diff != "" || r.ARN != tt.arn {
			t.Errorf("%s on %s: %+v", tt.action, tt.arn, r)
		}
	}
	for _, tt := range [][2]string{{"s3:Invent", "*"}, {"dynamodb:GetItem", "arn:aws:s3:::b"}} {
		if a, err := c.SupposeAction(tt[0], tt[1]); err == nil {
			t.Errorf("%v: %+v", tt, a)
		}
	}
}
