package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/arcregionswitch"
	"github.com/aws/aws-sdk-go-v2/service/backup"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagent"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/connectcases"
	"github.com/aws/aws-sdk-go-v2/service/datazone"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/efs"
	"github.com/aws/aws-sdk-go-v2/service/elasticsearchservice"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lexmodelbuildingservice"
	"github.com/aws/aws-sdk-go-v2/service/lexmodelsv2"
	"github.com/aws/aws-sdk-go-v2/service/mediapackagev2"
	"github.com/aws/aws-sdk-go-v2/service/mpa"
	"github.com/aws/aws-sdk-go-v2/service/neptunegraph"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/osis"
	"github.com/aws/aws-sdk-go-v2/service/polly"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/rum"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/timestreamwrite"
)

// service is one service: its name in botocore, and its client.
type service struct {
	id     string
	client func(aws.Config) any
}

// services: the widely used, and those whose URIs end with a slash in
// botocore's models.
var services = []service{
	{"apigateway", func(c aws.Config) any { return apigateway.NewFromConfig(c) }},
	{"arc-region-switch", func(c aws.Config) any { return arcregionswitch.NewFromConfig(c) }},
	{"backup", func(c aws.Config) any { return backup.NewFromConfig(c) }},
	{"bedrock-agent", func(c aws.Config) any { return bedrockagent.NewFromConfig(c) }},
	{"bedrock-agentcore-control", func(c aws.Config) any { return bedrockagentcorecontrol.NewFromConfig(c) }},
	{"bedrock-agent-runtime", func(c aws.Config) any { return bedrockagentruntime.NewFromConfig(c) }},
	{"bedrock-runtime", func(c aws.Config) any { return bedrockruntime.NewFromConfig(c) }},
	{"cloudfront", func(c aws.Config) any { return cloudfront.NewFromConfig(c) }},
	{"cloudwatch", func(c aws.Config) any { return cloudwatch.NewFromConfig(c) }},
	{"logs", func(c aws.Config) any { return cloudwatchlogs.NewFromConfig(c) }},
	{"cognito-idp", func(c aws.Config) any { return cognitoidentityprovider.NewFromConfig(c) }},
	{"connectcases", func(c aws.Config) any { return connectcases.NewFromConfig(c) }},
	{"datazone", func(c aws.Config) any { return datazone.NewFromConfig(c) }},
	{"dynamodb", func(c aws.Config) any { return dynamodb.NewFromConfig(c) }},
	{"ec2", func(c aws.Config) any { return ec2.NewFromConfig(c) }},
	{"ecs", func(c aws.Config) any { return ecs.NewFromConfig(c) }},
	{"efs", func(c aws.Config) any { return efs.NewFromConfig(c) }},
	{"es", func(c aws.Config) any { return elasticsearchservice.NewFromConfig(c) }},
	{"events", func(c aws.Config) any { return eventbridge.NewFromConfig(c) }},
	{"iam", func(c aws.Config) any { return iam.NewFromConfig(c) }},
	{"iot", func(c aws.Config) any { return iot.NewFromConfig(c) }},
	{"kinesis", func(c aws.Config) any { return kinesis.NewFromConfig(c) }},
	{"kms", func(c aws.Config) any { return kms.NewFromConfig(c) }},
	{"lambda", func(c aws.Config) any { return lambda.NewFromConfig(c) }},
	{"lex-models", func(c aws.Config) any { return lexmodelbuildingservice.NewFromConfig(c) }},
	{"lexv2-models", func(c aws.Config) any { return lexmodelsv2.NewFromConfig(c) }},
	{"mediapackagev2", func(c aws.Config) any { return mediapackagev2.NewFromConfig(c) }},
	{"mpa", func(c aws.Config) any { return mpa.NewFromConfig(c) }},
	{"neptune-graph", func(c aws.Config) any { return neptunegraph.NewFromConfig(c) }},
	{"opensearch", func(c aws.Config) any { return opensearch.NewFromConfig(c) }},
	{"osis", func(c aws.Config) any { return osis.NewFromConfig(c) }},
	{"polly", func(c aws.Config) any { return polly.NewFromConfig(c) }},
	{"rds", func(c aws.Config) any { return rds.NewFromConfig(c) }},
	{"route53", func(c aws.Config) any { return route53.NewFromConfig(c) }},
	{"rum", func(c aws.Config) any { return rum.NewFromConfig(c) }},
	{"s3", func(c aws.Config) any { return s3.NewFromConfig(c) }},
	{"s3control", func(c aws.Config) any { return s3control.NewFromConfig(c) }},
	{"secretsmanager", func(c aws.Config) any { return secretsmanager.NewFromConfig(c) }},
	{"sesv2", func(c aws.Config) any { return sesv2.NewFromConfig(c) }},
	{"stepfunctions", func(c aws.Config) any { return sfn.NewFromConfig(c) }},
	{"sns", func(c aws.Config) any { return sns.NewFromConfig(c) }},
	{"sqs", func(c aws.Config) any { return sqs.NewFromConfig(c) }},
	{"ssm", func(c aws.Config) any { return ssm.NewFromConfig(c) }},
	{"sts", func(c aws.Config) any { return sts.NewFromConfig(c) }},
	{"timestream-write", func(c aws.Config) any { return timestreamwrite.NewFromConfig(c) }},
}
