package main

import (
	"io"
	"reflect"
	"strings"
	"time"

	attributes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/document"
)

// filler makes up inputs.
type filler struct {
	service, operation string
	values             map[string]*string // by "service Operation Member", "service Member" or "Member"; null leaves the member out
}

var (
	readers   = reflect.TypeFor[io.Reader]()
	times     = reflect.TypeFor[time.Time]()
	documents = reflect.TypeFor[document.Marshaler]()
	bytesType = reflect.TypeFor[[]byte]()
	attribute = reflect.TypeFor[attributes.AttributeValue]()
)

func (f filler) structure(v reflect.Value, depth int) {
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() && v.Type().Field(i).Name != "ResultMetadata" {
			f.value(v.Field(i), v.Type().Field(i).Name, depth)
		}
	}
}

// value fills a member. Structures stand depth levels deep at most; unions but
// DynamoDB's are left out.
func (f filler) value(v reflect.Value, name string, depth int) {
	if s, listed := f.listed(name); listed && s == nil {
		return
	}
	switch t := v.Type(); {
	case t == readers:
		v.Set(reflect.ValueOf(strings.NewReader("blob")))
	case t == times:
		v.Set(reflect.ValueOf(time.Unix(1600000000, 0).UTC()))
	case t == bytesType:
		v.SetBytes([]byte("blob"))
	case t == attribute:
		v.Set(reflect.ValueOf(&attributes.AttributeValueMemberS{Value: "name"}))
	case t.Implements(documents):
	case t.Kind() == reflect.Pointer:
		if t.Elem().Kind() == reflect.Struct && t.Elem() != times && depth == 1 {
			return
		}
		v.Set(reflect.New(t.Elem()))
		f.value(v.Elem(), name, depth)
	case t.Kind() == reflect.Struct:
		f.structure(v, depth-1)
	case t.Kind() == reflect.Slice:
		f.list(v, name, depth)
	case t.Kind() == reflect.Map:
		f.mapping(v, name, depth)
	case t.Kind() == reflect.String:
		v.SetString(f.text(v, name))
	case v.CanInt():
		v.SetInt(1)
	case v.CanFloat():
		v.SetFloat(1.5)
	case t.Kind() == reflect.Bool:
		v.SetBool(true)
	}
}

func (f filler) list(v reflect.Value, name string, depth int) {
	if deep(v.Type().Elem()) && depth == 1 {
		return
	}
	element := reflect.New(v.Type().Elem()).Elem()
	f.value(element, name, depth)
	if element.Kind() != reflect.Interface || !element.IsNil() {
		v.Set(reflect.Append(v, element))
	}
}

func (f filler) mapping(v reflect.Value, name string, depth int) {
	if deep(v.Type().Elem()) && depth == 1 {
		return
	}
	key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	f.value(key, "key", depth)
	f.value(value, name, depth)
	if value.Kind() != reflect.Interface || !value.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	}
}

// deep: a structure is in it.
func deep(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && t != times
}

// text is the value of a member: a listed one, an enumeration's first, or one
// by how the member is called.
func (f filler) text(v reflect.Value, name string) string {
	if m := v.MethodByName("Values"); m.IsValid() {
		if all := m.Call(nil)[0]; all.Len() > 0 {
			return all.Index(0).String()
		}
	}
	if s, listed := f.listed(name); listed {
		return *s
	}
	switch lower := strings.ToLower(name); {
	case strings.HasSuffix(lower, "rolearn"):
		return "arn:aws:iam::" + account + ":role/role"
	case strings.HasSuffix(lower, "arn"):
		return "arn:aws:" + f.service + ":us-east-1:" + account + ":thing/name"
	}
	return "name"
}

func (f filler) listed(name string) (*string, bool) {
	for _, key := range []string{f.service + " " + f.operation + " " + name, f.service + " " + name, name} {
		if s, ok := f.values[key]; ok {
			return s, true
		}
	}
	return nil, false
}
