// Package awsapi says what an HTTP request means to AWS: which service and
// operation it calls, which IAM actions and resources that needs, and how the
// service would phrase an error.
package awsapi
