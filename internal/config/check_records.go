package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

var (
	originForm = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)
	bucketForm = regexp.MustCompile(`^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9._/-]*)?$`)
	kmsForm    = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
)

func (c *Config) checkRecording() error {
	r := &c.Recording
	for _, to := range r.Recipients {
		if !strings.HasPrefix(to, "age1") && !kmsForm.MatchString(to) {
			return fmt.Errorf("recording.recipients: %q is neither an age public key (age1…, `age-keygen` prints one) nor the ARN of a KMS key", to)
		}
	}
	if r.Limit < 1<<10 || r.Limit > 1<<30 {
		return fmt.Errorf("recording.limit: %d bytes are not between 1KiB and 1GiB", r.Limit)
	}
	if r.Days < 1 || r.Days > 3650 {
		return fmt.Errorf("recording.days: %d is not between 1 and 3650", r.Days)
	}
	if r.Ship != (Bucket{}) {
		if !r.On() {
			return errors.New("recording.ship: nothing is recorded: set recording.recipients")
		}
		if err := r.Ship.check(); err != nil {
			return fmt.Errorf("recording.ship: %w", err)
		}
	}
	return readable("recording.identity", r.Identity)
}

func (c *Config) checkAudit() error {
	if !originForm.MatchString(c.Audit.Origin) || len(c.Audit.Origin) > 160 {
		return fmt.Errorf("audit.origin: %q is not a name such as credence/example/prod, 1 to 160 of A-Z, a-z, 0-9, dot, dash, underscore and inner slashes", c.Audit.Origin)
	}
	seen := map[string]bool{}
	for _, a := range c.Audit.Anchors {
		if err := a.check(); err != nil {
			return fmt.Errorf("audit.anchors: %w", err)
		}
		if seen[a.File+a.S3] {
			return fmt.Errorf("audit.anchors: %s is named twice", a.File+a.S3)
		}
		seen[a.File+a.S3] = true
	}
	if c.Audit.Ship != (Bucket{}) {
		if err := c.Audit.Ship.check(); err != nil {
			return fmt.Errorf("audit.ship: %w", err)
		}
	}
	return nil
}

func (a Anchor) check() error {
	switch {
	case (a.File == "") == (a.S3 == ""):
		return errors.New("each is one of {file: /mnt/other/anchors} and {s3: s3://bucket/prefix, region: us-east-1}")
	case a.MaxAge != 0 && a.MaxAge.D() < 2*time.Minute:
		return fmt.Errorf("max_age: %s is under 2m, and checkpoints are anchored once a minute", a.MaxAge)
	case a.File != "" && a.Region+a.Endpoint+a.Profile != "":
		return fmt.Errorf("%s: region, endpoint and profile are for s3", a.File)
	case a.File != "":
		return nil
	case !bucketForm.MatchString(a.S3):
		return fmt.Errorf("s3: %q is not s3://bucket/prefix", a.S3)
	case !regionForm.MatchString(a.Region):
		return fmt.Errorf("%s: region: %q is not a region such as us-east-1", a.S3, a.Region)
	case a.Endpoint != "":
		return checkEndpoint(a.Endpoint)
	}
	return nil
}

func (b Bucket) check() error {
	switch {
	case !bucketForm.MatchString(b.S3):
		return fmt.Errorf("s3: %q is not s3://bucket/prefix", b.S3)
	case !regionForm.MatchString(b.Region):
		return fmt.Errorf("%s: region: %q is not a region such as us-east-1", b.S3, b.Region)
	case b.Endpoint != "":
		return checkEndpoint(b.Endpoint)
	}
	return nil
}
