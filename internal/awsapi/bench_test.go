package awsapi_test

import (
	"slices"
	"testing"
	"time"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/wire"
)

var jsonType = wire.Header{Name: "content-type", Value: "application/x-amz-json-1.0"}

func BenchmarkIdentify(b *testing.B) {
	c := load(b)
	for _, g := range []struct {
		name, service string
		request       wire.Request
		body          string
	}{
		{"json", "dynamodb", wire.Request{Method: "POST", Target: "/", Headers: wire.Headers{{Name: "x-amz-target", Value: "DynamoDB_20120810.PutItem"}, jsonType}},
			`{"TableName":"orders","Item":{"id":{"S":"1"},"total":{"N":"12"},"tags":{"SS":["a","b"]}},"ConditionExpression":"attribute_not_exists(id)"}`},
		{"queueURL", "sqs", wire.Request{Method: "POST", Target: "/", Headers: wire.Headers{{Name: "x-amz-target", Value: "AmazonSQS.SendMessage"}, jsonType}},
			`{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/111122223333/jobs","MessageBody":"hello"}`},
		{"query", "sns", wire.Request{Method: "POST", Target: "/", Headers: wire.Headers{{Name: "content-type", Value: "application/x-www-form-urlencoded; charset=utf-8"}}},
			"Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A111122223333%3Atopic&Message=hello"},
		{"s3", "s3", wire.Request{Method: "GET", Target: "/reports/2026/q1.csv?versionId=3", Headers: wire.Headers{{Name: "x-amz-checksum-mode", Value: "ENABLED"}}}, ""},
		{"rest-json", "lambda", wire.Request{Method: "POST", Target: "/2015-03-31/functions/f/invocations"}, `{"a":1}`},
	} {
		b.Run(g.name, func(b *testing.B) {
			w := awsapi.Where{Service: g.service, Region: "us-east-1", Account: "111122223333"}
			body := awsapi.Body{Bytes: []byte(g.body), Seen: true}
			took := make([]time.Duration, 0, 1<<20)
			b.ReportAllocs()
			for b.Loop() {
				began := time.Now()
				if _, err := c.Identify(&g.request, body, w); err != nil {
					b.Fatal(err)
				}
				if len(took) < cap(took) {
					took = append(took, time.Since(began))
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := awsapi.Load(); err != nil {
			b.Fatal(err)
		}
	}
}
