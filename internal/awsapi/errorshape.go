package awsapi

import "github.com/credence-gateway/credence/internal/wire"

// EncodeError phrases e as the service would.
func EncodeError(s Shape, e Error) wire.Response {
	return wire.Response{Status: e.Status}
}

// GuessShape tells the shape of errors for a request that was not identified.
func GuessShape(r *wire.Request) Shape {
	return Shape{Protocol: RESTJSON, NoBody: r.Method == "HEAD"}
}
