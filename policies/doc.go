// Package policies decides calls by Cedar policies (https://www.cedarpolicy.com).
//
// # Model
//
//	principal  Credence::Agent::"<issuer>|<sub>" in Credence::Group::"<issuer>|<group>";
//	           Credence::User for humans. Attributes: issuer, subject
//	action     AWS::Action::"s3:GetObject" in "s3:Read" (service and access level),
//	           "s3:*", and "Read", "List", "Write", "Tagging", "Permissions"
//	resource   <Service>::<Type>::"<ARN>", such as S3::Object, in its container
//	           (S3::Bucket) and in AWS::Account::"<12 digits>"; AWS::Resource where
//	           IAM has no type. Attributes: arn, account, region, partition,
//	           service, wildcard, and the variables of the ARN (bucket, key …)
//	context    session {id, role, age in seconds, bindings: the networks that it
//	           is good from}, now, sourceIp, presigned: whether the call comes by
//	           a presigned link, inferred: whether the action's name was
//	           derived and not found in IAM's data; approval {id, at,
//	           approvers} and onBehalfOf, the human, where there is one (no login
//	           names one yet, nor binds a session to networks); params, the call's
//	           input members as the catalog types them, each optional
//
// Type names are IAM's in camel case: IAM's "dynamodb" and "table" become
// Dynamodb::Table, "logs" and "log-group" become Logs::LogGroup. Where a request
// does not say which resource it means, wildcard is true and the variables that
// are missing are "*".
//
// The gateway's own acts: Credence::Action::"OpenSession" on Credence::Role::"name"
// decides which agents may log in. "Approve", "Revoke", "ShredBody", "Unmask" and
// "ViewReplay" are what a Credence::User does to a Credence::Session, which is in
// its role. Their context has now and sourceIp only. They are in the schema, and
// nobody asks for them yet: what people do is recorded, not decided.
//
// # Decision
//
// One Cedar request for every (action, resource) of a call; all must be allowed.
// Nothing is allowed by default, a forbid wins, and a policy that fails while it
// is evaluated denies: Cedar itself would skip it, so that a forbid with a fault
// would allow. An action that can widen its caller's own rights needs a permit
// that names the action itself, and a call by a presigned link, which anybody who
// holds the link can make, one with @presigned. Such a denial, one by a fault, and
// one of what the model does not know are firm: they hold in observe mode too. So
// is one by a member of params that is not of its type, where a policy reads
// params.
//
// # Annotations
//
//	@id("name")             the name in records; else "file.cedar:line"
//	@role("reader")         the permit counts in sessions of that role only
//	@duration("15m")        longest life of a session opened, or credential used
//	@narrow("exact")        exact, container (default) or service
//	@record("full")         full, with S3 objects too, or meta; else full where the
//	                        gateway records, S3 objects by their lengths
//	@retain("30d")          days that recordings are kept, 1d to 3650d; of several
//	                        permits the longest; else recording.days
//	@approval("group:local|sre:2")
//	                        the permit counts once 2 of the group have approved;
//	                        no other permit lifts that
//	@approval_scope("exact") what one approval is good for: this very call
//	                        (default), its operation, or the session
//	@mask("secrets,pii")    sets of masks that the answer is under: secrets, pii, tokens,
//	                        keys, the configuration's; none takes even keys away
//	@unmask("secretsmanager:GetSecretValue -> rds:CreateDBInstance")
//	                        tokens of the one operation's answers stand for their
//	                        values in calls of the other
//	@presigned("15m")       the permit holds for presigned links too, if they live
//	                        no longer than this (1s to 168h)
//	@advice("ask sre")      told to the agent when the policy refuses, or when its
//	                        conditions were not met
//
// Where several permits decide, the strictest of each obligation holds: of masks
// the union, "none" only where every permit says it, and of a resource's permits
// each must unmask. A forbid takes @id and @advice only. A policy may ask for
// context.approval instead of carrying @approval. Decision.Need says which
// approval would allow a call.
//
// # Sets
//
// A set is a folder of *.cedar files. It is validated against a schema that is
// generated from the catalog; a set that does not validate is not used. Each
// policy is checked against the part of the schema that it can be about.
package policies
