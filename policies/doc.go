// Package policies decides calls by Cedar policies (https://www.cedarpolicy.com).
//
// # Model
//
//	principal  Credence::Agent::"<issuer>|<sub>" in Credence::Group::"<issuer>|<group>"
//	action     AWS::Action::"s3:GetObject" in "s3:Read" (service and access level),
//	           "s3:*", and "Read", "List", "Write", "Tagging", "Permissions"
//	resource   <Service>::<Type>::"<ARN>", such as S3::Object, in its container
//	           (S3::Bucket) and in AWS::Account::"<12 digits>"; AWS::Resource where
//	           IAM has no type. Attributes: arn, account, region, partition,
//	           service, wildcard, and the variables of the ARN (bucket, key …)
//	context    session {id, role, age in seconds}, now, sourceIp
//
// Type names are IAM's in camel case: IAM's "dynamodb" and "table" become
// Dynamodb::Table, "logs" and "log-group" become Logs::LogGroup. Where a request
// does not say which resource it means, wildcard is true and the variables that
// are missing are "*".
//
// The gateway's own act Credence::Action::"OpenSession" on Credence::Role::"name"
// decides who may log in.
//
// # Decision
//
// One Cedar request for every (action, resource) of a call; all must be allowed.
// Nothing is allowed by default, a forbid wins, and a policy that fails while it
// is evaluated denies: Cedar itself would skip it, so that a forbid with a fault
// would allow. An action that can widen its caller's own rights needs a permit
// that names the action itself.
//
// # Annotations
//
//	@id("name")             the name in records; else "file.cedar:line"
//	@role("reader")         the permit counts in sessions of that role only
//	@duration("15m")        longest life of a session opened, or credential used
//	@narrow("exact")        exact, container (default) or service
//	@record("full")         full or meta (default)
//	@advice("ask sre")      told to the agent when the policy refuses, or when its
//	                        conditions were not met
//
// Where several permits decide, the strictest of each obligation holds.
//
// # Sets
//
// A set is a folder of *.cedar files. It is validated against a schema that is
// generated from the catalog; a set that does not validate is not used.
package policies
