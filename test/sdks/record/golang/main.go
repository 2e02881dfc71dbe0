// Command record writes down what the AWS SDK for Go v2 sends: one line of JSON
// for each operation, with the members that its input has filled.
//
//	go run . ../values.json | gzip -9n > requests.jsonl.gz
//
// Every connection goes to a sink on a loopback port, whatever the host; the
// keys are examples. Operations that the SDK does not send with made-up input
// are counted on standard error.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	account = "111122223333"
	gateway = "http://gw.example.internal:8080"
)

func main() {
	log.SetFlags(0)
	r, err := newRecorder(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range services {
		r.service(s)
	}
	log.Printf("%d requests, %d operations that the SDK did not send", r.lines, r.missed)
}

// recorder is the sink and what came to it.
type recorder struct {
	sink          *httptest.Server
	call          string   // the operation that is being recorded
	last          *request // its last request
	fill          filler
	out           *json.Encoder
	lines, missed int
}

// request is a line of the recording.
type request struct {
	Service   string `json:"service"` // botocore's name of it
	Operation string `json:"operation"`
	Scope     string `json:"scope"` // the service that the signature names
	Host      string `json:"host"`
	Rest      rest   `json:"rest"`
}

type rest struct {
	Method  string      `json:"method"`
	Target  string      `json:"target"`
	Headers [][2]string `json:"headers"` // without those of the signature and the connection
	Body    []byte      `json:"body"`    // base64
}

func newRecorder(values string) (*recorder, error) {
	r := &recorder{out: json.NewEncoder(os.Stdout)}
	r.out.SetEscapeHTML(false)
	data, err := os.ReadFile(values)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &r.fill.values); err != nil {
		return nil, err
	}
	r.sink = httptest.NewServer(http.HandlerFunc(r.take))
	return r, nil
}

var scope = regexp.MustCompile(`Credential=[^/]+/\d+/[^/]+/([^/]+)/`)

// dropped are headers of the connection, the signature and the SDK's own log.
var dropped = []string{"accept-encoding", "amz-sdk-invocation-id", "amz-sdk-request", "authorization", "connection", "content-length", "user-agent", "x-amz-date"}

// mark is a header that says for which operation the SDK sent a request.
const mark = "X-Recorded"

// take keeps a request and refuses it, unless the SDK asks for the host that it
// is to use.
func (r *recorder) take(w http.ResponseWriter, in *http.Request) {
	if in.Header.Get(mark) != r.call {
		return // late, from an operation before
	}
	in.Header.Del(mark)
	if strings.HasSuffix(in.Header.Get("X-Amz-Target"), ".DescribeEndpoints") && !strings.HasSuffix(r.call, " DescribeEndpoints") {
		fmt.Fprintf(w, `{"Endpoints":[{"Address":"cell1.%s","CachePeriodInMinutes":1440}]}`, in.Host)
		return
	}
	body, err := io.ReadAll(in.Body)
	if err != nil {
		log.Fatal(err)
	}
	got := &request{Host: in.Host, Rest: rest{Method: in.Method, Target: in.RequestURI, Headers: headers(in.Header), Body: body}}
	if m := scope.FindStringSubmatch(in.Header.Get("Authorization")); m != nil {
		got.Scope = m[1]
	}
	r.last = got
	w.WriteHeader(http.StatusBadRequest)
}

func headers(in http.Header) [][2]string {
	out := [][2]string{}
	for name, values := range in {
		if name = strings.ToLower(name); slices.Contains(dropped, name) {
			continue
		}
		for _, v := range values {
			out = append(out, [2]string{name, v})
		}
	}
	slices.SortStableFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// toSink sends every request to the sink in the clear, under its own host.
func (r *recorder) toSink() *http.Client {
	address := r.sink.Listener.Addr().String()
	t := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}}
	return &http.Client{Transport: clear{t, r}}
}

type clear struct {
	next http.RoundTripper
	r    *recorder
}

func (c clear) RoundTrip(in *http.Request) (*http.Response, error) {
	in = in.Clone(in.Context())
	in.URL.Scheme = "http"
	in.Header.Set(mark, c.r.call)
	return c.next.RoundTrip(in)
}

func (r *recorder) config(endpoint string) aws.Config {
	c := aws.Config{
		Region: "us-east-1", HTTPClient: r.toSink(), RetryMaxAttempts: 1, RequestMinCompressSizeBytes: 10240, AccountIDEndpointMode: aws.AccountIDEndpointModePreferred,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret", AccountID: account}, nil
		}),
	}
	if endpoint != "" {
		c.BaseEndpoint = &endpoint
	}
	return c
}

// service records a service's operations, by turns at AWS's host and at the
// gateway's.
func (r *recorder) service(s service) {
	native, named := s.client(r.config("")), s.client(r.config(gateway))
	for i, name := range operations(native) {
		client := native
		if i%2 == 1 {
			client = named
		}
		r.operation(s, client, name)
	}
}

// operations are the methods of a client that take an input.
func operations(client any) []string {
	var out []string
	t := reflect.TypeOf(client)
	for i := range t.NumMethod() {
		m := t.Method(i)
		if m.Type.NumIn() == 4 && m.Type.In(2).Kind() == reflect.Pointer && strings.HasSuffix(m.Type.In(2).Elem().Name(), "Input") {
			out = append(out, m.Name)
		}
	}
	return out
}

// operation records one operation, its input filled as deeply as the SDK wants.
func (r *recorder) operation(s service, client any, name string) {
	method := reflect.ValueOf(client).MethodByName(name)
	for depth := 1; depth <= 5; depth++ {
		input := reflect.New(method.Type().In(1).Elem())
		r.fill.service, r.fill.operation = s.id, name
		r.fill.structure(input.Elem(), depth)
		r.call, r.last = s.id+" "+name, nil
		method.Call([]reflect.Value{reflect.ValueOf(context.Background()), input})
		if r.last == nil {
			continue // it lacks a member that must be there
		}
		r.last.Service, r.last.Operation = s.id, name
		if err := r.out.Encode(r.last); err != nil {
			log.Fatal(err)
		}
		r.lines++
		return
	}
	r.missed++
	log.Printf("%s %s was not sent", s.id, name)
}
