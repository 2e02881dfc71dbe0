package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

var steps = []step{
	{"sdk version", version},
	{"sts identity", identity},
	{"s3 bucket", bucket},
	{"s3 small object", smallObject},
	{"s3 odd key", oddKey},
	{"s3 multipart", multipart},
	{"s3 streamed upload", streamed},
	{"s3 presigned GET", presigned},
	{"s3 presigned PUT", presignedPut},
	{"s3 batch delete", batchDelete},
	{"dynamodb items", items},
	{"dynamodb typed error", typedError},
	{"sqs messages", messages},
	{"sns publish", publish},
	{"secretsmanager secret", secret},
	{"ssm parameter", parameter},
	{"kms encrypt, decrypt", encrypt},
	{"lambda invoke", invoke},
	{"logs events", events},
	{"cloudwatch metrics", metrics},
}

// refused are calls that policy refuses.
var refused = []step{
	{"s3", func(ctx context.Context, a *agent) (string, error) {
		_, err := s3.NewFromConfig(a.cfg).DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &a.name})
		return "", err
	}},
	{"s3 head", func(ctx context.Context, a *agent) (string, error) {
		_, err := s3.NewFromConfig(a.cfg).HeadObject(ctx, &s3.HeadObjectInput{Bucket: &a.name, Key: aws.String("hidden")})
		return "", err
	}},
	{"dynamodb", func(ctx context.Context, a *agent) (string, error) {
		_, err := dynamodb.NewFromConfig(a.cfg).DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &a.name})
		return "", err
	}},
	{"sqs", func(ctx context.Context, a *agent) (string, error) {
		url := "http://127.0.0.1/123456789012/" + a.name
		_, err := sqs.NewFromConfig(a.cfg).DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &url})
		return "", err
	}},
	{"sns", func(ctx context.Context, a *agent) (string, error) {
		arn := "arn:aws:sns:us-east-1:123456789012:" + a.name
		_, err := sns.NewFromConfig(a.cfg).DeleteTopic(ctx, &sns.DeleteTopicInput{TopicArn: &arn})
		return "", err
	}},
	{"secretsmanager", func(ctx context.Context, a *agent) (string, error) {
		_, err := secretsmanager.NewFromConfig(a.cfg).DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &a.name})
		return "", err
	}},
	{"lambda", func(ctx context.Context, a *agent) (string, error) {
		_, err := lambda.NewFromConfig(a.cfg).DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String("echo")})
		return "", err
	}},
	{"cloudwatch", func(ctx context.Context, a *agent) (string, error) {
		_, err := cloudwatch.NewFromConfig(a.cfg).DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a"}})
		return "", err
	}},
}

func version(context.Context, *agent) (string, error) {
	return "aws-sdk-go-v2 " + aws.SDKVersion, nil
}

func identity(ctx context.Context, a *agent) (string, error) {
	me, err := sts.NewFromConfig(a.cfg).GetCallerIdentity(ctx, nil)
	if err != nil {
		return "", err
	}
	return *me.Account, nil
}

func items(ctx context.Context, a *agent) (string, error) {
	c := dynamodb.NewFromConfig(a.cfg)
	_, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &a.name, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
	})
	if err != nil {
		return "", err
	}
	one := &types.AttributeValueMemberS{Value: "1"}
	item := map[string]types.AttributeValue{
		"id": one, "n": &types.AttributeValueMemberN{Value: "42"}, "b": &types.AttributeValueMemberB{Value: []byte{0, 255}},
	}
	if _, err := c.PutItem(ctx, &dynamodb.PutItemInput{TableName: &a.name, Item: item}); err != nil {
		return "", err
	}
	got, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: &a.name, Key: map[string]types.AttributeValue{"id": one}})
	if err != nil {
		return "", err
	}
	if b, ok := got.Item["b"].(*types.AttributeValueMemberB); !ok || !bytes.Equal(b.Value, []byte{0, 255}) {
		return "", fmt.Errorf("got %v", got.Item)
	}
	found, err := c.Query(ctx, &dynamodb.QueryInput{
		TableName: &a.name, KeyConditionExpression: aws.String("id = :i"), ExpressionAttributeValues: map[string]types.AttributeValue{":i": one},
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprint(found.Count), nil
}

func typedError(ctx context.Context, a *agent) (string, error) {
	_, err := dynamodb.NewFromConfig(a.cfg).PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &a.name, Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "1"}},
		ConditionExpression: aws.String("attribute_not_exists(id)"),
	})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		return "", fmt.Errorf("not typed: %w", err)
	}
	return failed.ErrorMessage(), nil
}

func messages(ctx context.Context, a *agent) (string, error) {
	c := sqs.NewFromConfig(a.cfg)
	made, err := c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &a.name})
	if err != nil {
		return "", err
	}
	if _, err := c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: aws.String("hello é")}); err != nil {
		return "", err
	}
	got, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: made.QueueUrl})
	if err != nil {
		return "", err
	}
	if len(got.Messages) != 1 {
		return "", fmt.Errorf("%d messages", len(got.Messages))
	}
	_, err = c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: made.QueueUrl, ReceiptHandle: got.Messages[0].ReceiptHandle})
	return *got.Messages[0].Body, err
}

func publish(ctx context.Context, a *agent) (string, error) {
	c := sns.NewFromConfig(a.cfg)
	made, err := c.CreateTopic(ctx, &sns.CreateTopicInput{Name: &a.name})
	if err != nil {
		return "", err
	}
	_, err = c.Publish(ctx, &sns.PublishInput{TopicArn: made.TopicArn, Message: aws.String("hello é")})
	return *made.TopicArn, err
}

func secret(ctx context.Context, a *agent) (string, error) {
	c := secretsmanager.NewFromConfig(a.cfg)
	if _, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &a.name, SecretString: aws.String("hush")}); err != nil {
		return "", err
	}
	got, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &a.name})
	if err != nil {
		return "", err
	}
	return *got.SecretString, nil
}

func parameter(ctx context.Context, a *agent) (string, error) {
	c, name := ssm.NewFromConfig(a.cfg), "/"+a.name
	_, err := c.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: aws.String("v1"), Type: ssmtypes.ParameterTypeSecureString})
	if err != nil {
		return "", err
	}
	got, err := c.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return "", err
	}
	return *got.Parameter.Value, nil
}

func encrypt(ctx context.Context, a *agent) (string, error) {
	c := kms.NewFromConfig(a.cfg)
	key, err := c.CreateKey(ctx, nil)
	if err != nil {
		return "", err
	}
	sealed, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyMetadata.KeyId, Plaintext: small})
	if err != nil {
		return "", err
	}
	got, err := c.Decrypt(ctx, &kms.DecryptInput{KeyId: key.KeyMetadata.KeyId, CiphertextBlob: sealed.CiphertextBlob})
	if err != nil {
		return "", err
	}
	return "", same(string(got.Plaintext), string(small))
}

func invoke(ctx context.Context, a *agent) (string, error) {
	got, err := lambda.NewFromConfig(a.cfg).Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("echo"), Payload: []byte(`{"a":1}`)})
	if err != nil {
		return "", err
	}
	return fmt.Sprint(got.StatusCode, " ", string(got.Payload)), nil
}

func events(ctx context.Context, a *agent) (string, error) {
	c, stream := cloudwatchlogs.NewFromConfig(a.cfg), aws.String("s")
	if _, err := c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &a.name}); err != nil {
		return "", err
	}
	if _, err := c.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &a.name, LogStreamName: stream}); err != nil {
		return "", err
	}
	_, err := c.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: &a.name, LogStreamName: stream,
		LogEvents: []logstypes.InputLogEvent{{Timestamp: aws.Int64(time.Now().UnixMilli()), Message: aws.String("hello é")}},
	})
	if err != nil {
		return "", err
	}
	got, err := c.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: &a.name, LogStreamName: stream})
	if err != nil {
		return "", err
	}
	if len(got.Events) != 1 {
		return "", fmt.Errorf("%d events", len(got.Events))
	}
	return *got.Events[0].Message, nil
}

func metrics(ctx context.Context, a *agent) (string, error) {
	c := cloudwatch.NewFromConfig(a.cfg)
	_, err := c.PutMetricData(ctx, &cloudwatch.PutMetricDataInput{
		Namespace: &a.name, MetricData: []cloudwatchtypes.MetricDatum{{MetricName: aws.String("m"), Value: aws.Float64(1.5)}},
	})
	if err != nil {
		return "", err
	}
	got, err := c.ListMetrics(ctx, &cloudwatch.ListMetricsInput{Namespace: &a.name})
	if err != nil {
		return "", err
	}
	if len(got.Metrics) != 1 {
		return "", fmt.Errorf("%d metrics", len(got.Metrics))
	}
	return *got.Metrics[0].MetricName, nil
}
