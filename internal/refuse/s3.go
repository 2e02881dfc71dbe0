package refuse

import (
	"errors"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// In is For where an answer of this shape is due: S3 has codes and words of its
// own, by which its SDKs and people know what is wrong. What For would say stands in
// the element Advice where S3's text takes its place.
func In(shape awsapi.Shape, err error) Answer {
	a := For(err)
	if shape.Protocol != awsapi.RESTXML || shape.Service != "" && shape.Service != "s3" || severalRegions(err) {
		return a
	}
	d, presigned := detailOf(err)
	for i := range s3Table {
		if s3Table[i].fits(err, d.Part) {
			return s3Table[i].answer(a, d, presigned)
		}
	}
	return a
}

// severalRegions reports that a Region is not reached where others are: S3 would
// name the one of the bucket, which the gateway does not know.
func severalRegions(err error) bool {
	var e *awsapi.RegionError
	return errors.As(err, &e) && e.Only == ""
}

// detailOf is what err is about, and whether the signature is one in a query.
func detailOf(err error) (d sigv4.Detail, presigned bool) {
	presigned = sigv4.Presigned(err)
	var (
		form   *sigv4.Detail
		key    *session.KeyFormError
		region *awsapi.RegionError
		misfit *awsapi.MisfitError
	)
	switch {
	case errors.As(err, &form):
		d = *form
	case errors.As(err, &key):
		d.Value = key.ID
	case errors.As(err, &region):
		d.Value, d.Want = region.Region, region.Only
	case errors.As(err, &misfit):
		d.Value, presigned = misfit.Service, misfit.InQuery
	}
	return d, presigned
}

func (r *s3Row) fits(err error, part string) bool {
	return errors.Is(err, r.err) && (r.part == "" || r.part == part)
}

// answer is a in S3's words.
func (r *s3Row) answer(a Answer, d sigv4.Detail, presigned bool) Answer {
	say := r.header
	if presigned {
		say = r.query
	}
	if say.code != "" {
		a.Status, a.Code = say.status, say.code
	}
	fill := placesOf(d)
	for _, e := range r.elements {
		if e.Value = fill.Replace(e.Value); e.Value != "" {
			a.Elements = append(a.Elements, e)
		}
	}
	if say.text != "" {
		a.Elements = append(a.Elements, awsapi.Element{Name: "Advice", Value: a.Message})
		a.Message = fill.Replace(say.text)
	}
	return a
}

// placesOf fills the places of the table's texts and elements.
func placesOf(d sigv4.Detail) *strings.Replacer {
	at := ""
	if !d.At.IsZero() {
		at = d.At.UTC().Format(time.RFC3339)
	}
	sum := strings.ToUpper(strings.TrimPrefix(d.Value, "x-amz-checksum-"))
	return strings.NewReplacer("{}", d.Value, "{want}", d.Want, "{at}", at, "{sum}", sum)
}
