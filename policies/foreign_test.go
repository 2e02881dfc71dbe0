package policies_test

import (
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/policies"
)

// foreignCalls name a resource of the account 444455556666 in a session of
// 111122223333, or one of the session's where a case puts its number there.
var foreignCalls = map[string]struct{ service, target, body string }{
	"table by ARN":             {"dynamodb", "DynamoDB_20120810.GetItem", `{"TableName":"arn:aws:dynamodb:us-east-1:444455556666:table/jobs","Key":{"id":{"S":"1"}}}`},
	"one table of a batch":     {"dynamodb", "DynamoDB_20120810.BatchGetItem", `{"RequestItems":{"jobs":{"Keys":[]},"arn:aws:dynamodb:us-east-1:444455556666:table/jobs":{"Keys":[]}}}`},
	"table of a transaction":   {"dynamodb", "DynamoDB_20120810.TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"arn:aws:dynamodb:us-east-1:444455556666:table/jobs","Item":{}}}]}`},
	"index by its table":       {"dynamodb", "DynamoDB_20120810.Query", `{"TableName":"arn:aws:dynamodb:us-east-1:444455556666:table/jobs","IndexName":"by-day"}`},
	"queue by URL":             {"sqs", "AmazonSQS.SendMessage", `{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/444455556666/jobs","MessageBody":"x"}`},
	"queue by its owner":       {"sqs", "AmazonSQS.GetQueueUrl", `{"QueueName":"jobs","QueueOwnerAWSAccountId":"444455556666"}`},
	"queue by ARN":             {"sqs", "AmazonSQS.StartMessageMoveTask", `{"SourceArn":"arn:aws:sqs:us-east-1:444455556666:jobs"}`},
	"key by ARN":               {"kms", "TrentService.Encrypt", `{"KeyId":"arn:aws:kms:us-east-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab","Plaintext":"eA=="}`},
	"key by its alias":         {"kms", "TrentService.Encrypt", `{"KeyId":"arn:aws:kms:us-east-1:444455556666:alias/jobs","Plaintext":"eA=="}`},
	"key to encrypt for":       {"kms", "TrentService.ReEncrypt", `{"CiphertextBlob":"eA==","SourceKeyId":"1234abcd-12ab-34cd-56ef-1234567890ab","DestinationKeyId":"arn:aws:kms:us-east-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"}`},
	"secret by ARN":            {"secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"arn:aws:secretsmanager:us-east-1:444455556666:secret:jobs-AbCdEf"}`},
	"secret of a batch":        {"secretsmanager", "secretsmanager.BatchGetSecretValue", `{"SecretIdList":["jobs","arn:aws:secretsmanager:us-east-1:444455556666:secret:jobs-AbCdEf"]}`},
	"parameter by ARN":         {"ssm", "AmazonSSM.GetParameter", `{"Name":"arn:aws:ssm:us-east-1:444455556666:parameter/jobs"}`},
	"one of two parameters":    {"ssm", "AmazonSSM.GetParameters", `{"Names":["/jobs","arn:aws:ssm:us-east-1:444455556666:parameter/jobs"]}`},
	"log group by ARN":         {"logs", "Logs_20140328.FilterLogEvents", `{"logGroupIdentifier":"arn:aws:logs:us-east-1:444455556666:log-group:jobs"}`},
	"one of two log groups":    {"logs", "Logs_20140328.StartQuery", `{"logGroupIdentifiers":["jobs","arn:aws:logs:us-east-1:444455556666:log-group:jobs"],"queryString":"x","startTime":1,"endTime":2}`},
	"stream by ARN":            {"kinesis", "Kinesis_20131202.PutRecord", `{"StreamARN":"arn:aws:kinesis:us-east-1:444455556666:stream/jobs","Data":"eA==","PartitionKey":"1"}`},
	"state machine by ARN":     {"states", "AWSStepFunctions.StartExecution", `{"stateMachineArn":"arn:aws:states:us-east-1:444455556666:stateMachine:jobs"}`},
	"event bus by ARN":         {"events", "AWSEvents.PutEvents", `{"Entries":[{"EventBusName":"arn:aws:events:us-east-1:444455556666:event-bus/jobs","Source":"a","DetailType":"b","Detail":"{}"}]}`},
	"database of a catalog":    {"glue", "AWSGlue.GetTables", `{"CatalogId":"444455556666","DatabaseName":"jobs"}`},
	"repository of a registry": {"ecr", "AmazonEC2ContainerRegistry_V20150921.ListImages", `{"registryId":"444455556666","repositoryName":"jobs"}`},
	"topic by ARN":             {"sns", "Publish", `Action=Publish&Version=2010-03-31&Message=x&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A444455556666%3Ajobs`},
	"function by ARN":          {"lambda", "", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A444455556666%3Afunction%3Ajobs/invocations"},
	"function by part of it":   {"lambda", "", "/2015-03-31/functions/444455556666%3Ajobs/invocations"},
	"access point by ARN":      {"s3", "", "/arn%3Aaws%3As3%3Aus-east-1%3A444455556666%3Aaccesspoint%2Fjobs/key"},
}

// identified is what a request means in a session of 111122223333.
func identified(t *testing.T, service, target, body string) awsapi.Call {
	t.Helper()
	r := &wire.Request{Method: "POST", Target: "/"}
	switch {
	case service == "s3":
		r.Method, r.Target, body = "GET", body, ""
	case target == "":
		r.Target, body = body, "{}"
	case strings.HasPrefix(body, "Action="):
		r.Headers = wire.Headers{{Name: "content-type", Value: "application/x-www-form-urlencoded"}}
	default:
		r.Headers = wire.Headers{{Name: "content-type", Value: "application/x-amz-json-1.1"}, {Name: "x-amz-target", Value: target}}
		if service == "dynamodb" || service == "sqs" || service == "states" {
			r.Headers[0].Value = "application/x-amz-json-1.0"
		}
	}
	call, err := catalog().Identify(r, awsapi.Body{Bytes: []byte(body), Seen: true}, awsapi.Where{Service: service, Region: "us-east-1", Account: "111122223333"})
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// TestForeign: a resource of another account is what the call names, with that
// account, and a permit lets nobody at it that speaks of no account.
func TestForeign(t *testing.T) {
	const act = `permit (principal, action in [AWS::Action::"Read", AWS::Action::"List", AWS::Action::"Write"]`
	sets := map[string]*policies.Engine{}
	for name, text := range map[string]string{
		"anything":        act + `, resource);`,
		"names":           act + `, resource) when { resource.arn != "" };`,
		"the own account": act + `, resource in AWS::Account::"111122223333");`,
		"that account":    act + `, resource) when { ["111122223333", "444455556666"].contains(resource.account) };`,
	} {
		sets[name] = whole(t, text)
	}
	for name, c := range foreignCalls {
		t.Run(name, func(t *testing.T) {
			f := facts()
			f.Call = identified(t, c.service, c.target, c.body)
			if !strings.Contains(resources(f.Call), ":444455556666:") {
				t.Fatalf("the call acts on%s", resources(f.Call))
			}
			for set, want := range map[string]bool{"anything": false, "names": true, "the own account": false, "that account": true} {
				if d := sets[set].Decide(f); d.Allow != want {
					t.Errorf("permits of %s: %+v", set, d)
				}
			}
			f.Call = identified(t, c.service, c.target, strings.ReplaceAll(c.body, "444455556666", "111122223333"))
			for set := range sets {
				if d := sets[set].Decide(f); !d.Allow {
					t.Errorf("permits of %s in the own account: %+v", set, d)
				}
			}
		})
	}
}

func resources(c awsapi.Call) string {
	var b strings.Builder
	for _, a := range c.Actions {
		for _, r := range a.Resources {
			b.WriteString(" " + r.ARN)
		}
	}
	return b.String()
}

// TestForeignByPermit: what of a permit speaks of an account.
func TestForeignByPermit(t *testing.T) {
	const (
		get   = `permit (principal, action == AWS::Action::"dynamodb:GetItem", resource`
		own   = "arn:aws:dynamodb:us-east-1:111122223333:table/jobs"
		other = "arn:aws:dynamodb:us-east-1:444455556666:table/jobs"
	)
	for text, want := range map[string]string{
		get + `);`: "own",
		get + ` is Dynamodb::Table) when { resource.tableName == "jobs" };`:                               "own",
		get + ` is Dynamodb::Table) when { resource has account };`:                                       "own",
		get + ` is Dynamodb::Table) when { resource.region == "us-east-1" && resource.service != "s3" };`: "own",
		get + ` == Dynamodb::Table::"` + own + `");`:                                                      "own",
		get + ` in AWS::Account::"111122223333");`:                                                        "own",
		get + `) when { resource.arn == "` + own + `" };`:                                                 "own",
		get + `) when { resource.arn like "arn:aws:dynamodb:*:111122223333:table/jobs" };`:                "own",
		get + ` == Dynamodb::Table::"` + other + `");`:                                                    "other",
		get + ` is Dynamodb::Table in AWS::Account::"444455556666");`:                                     "other",
		get + `) when { resource in AWS::Account::"444455556666" };`:                                      "other",
		get + `) when { resource is Dynamodb::Table in AWS::Account::"444455556666" };`:                   "other",
		get + `) when { resource == Dynamodb::Table::"` + other + `" };`:                                  "other",
		get + `) when { resource.account == "444455556666" };`:                                            "other",
		get + `) unless { resource.account == "555566667777" };`:                                          "own other",
		get + `) when { resource.arn like "arn:aws:dynamodb:*:*:table/jobs" };`:                           "own other",
		get + `); ` + get + ` in AWS::Account::"444455556666");`:                                          "own other",
	} {
		e := whole(t, text)
		var got []string
		for _, x := range []struct{ name, arn string }{{"own", own}, {"other", other}} {
			d, err := e.Explain(policies.Request{Agent: "corp|a", Action: "dynamodb:GetItem", Resource: x.arn, Account: "111122223333"})
			if err != nil {
				t.Fatal(err)
			}
			if d.Decision.Allow {
				got = append(got, x.name)
			}
			if d.Decision.Firm {
				t.Errorf("%s\nholds for observers too: %+v", text, d.Decision)
			}
			if !d.Decision.Allow && len(d.Decision.Reasons) > 0 && !strings.Contains(d.Decision.Advice, "account 444455556666") {
				t.Errorf("%s\nthe denial does not name the account: %+v", text, d.Decision)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s\nlets at %q, want %q", text, got, want)
		}
	}
}

// TestForeignApproval: nobody is asked to approve what would be denied then.
func TestForeignApproval(t *testing.T) {
	f := facts()
	c := foreignCalls["table by ARN"]
	f.Call = identified(t, c.service, c.target, c.body)
	for text, want := range map[string]bool{
		`@approval("group:local|sre:1") permit (principal, action, resource);`:                                 false,
		`permit (principal, action, resource) when { context has approval };`:                                  false,
		`@approval("group:local|sre:1") permit (principal, action, resource in AWS::Account::"444455556666");`: true,
	} {
		if d := whole(t, text).Decide(f); d.Allow || d.Need != nil != want || d.Firm {
			t.Errorf("%s: %+v", text, d)
		}
	}
}

// TestForeignKnows: what AWS itself keeps for all accounts is nobody else's, and
// buckets have no account in their ARNs.
func TestForeignKnows(t *testing.T) {
	e := whole(t, `permit (principal, action, resource);`)
	for action, arn := range map[string]string{
		"iam:GetPolicy": "arn:aws:iam::aws:policy/ReadOnlyAccess",
		"s3:GetObject":  "arn:aws:s3:::reports/1",
		"s3:ListBucket": "",
	} {
		d, err := e.Explain(policies.Request{Agent: "corp|a", Action: action, Resource: arn, Account: "111122223333"})
		if err != nil || !d.Decision.Allow {
			t.Errorf("%s: %+v, %v", action, d.Decision, err)
		}
	}
}

// whole is an engine over all of AWS.
func whole(t testing.TB, text string) *policies.Engine {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "p.cedar", text)
	e, err := policies.New(policies.Config{Dir: dir, Catalog: catalog()})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
