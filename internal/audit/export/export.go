// Package export writes a log's calls in the forms that other tools read.
//
//   - jsonl: every leaf as it is, one a line.
//   - ocsf: OCSF 1.8.0 API Activity (class 6003, https://schema.ocsf.io), one a
//     line, with the cloud profile.
//   - cloudtrail: {"Records": [...]} as CloudTrail's log files have it
//     (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html).
//
// In ocsf and cloudtrail a call is one event, made of its begin and its end or
// call.unknown; a call that has no end yet comes last and its outcome is
// unknown. Everything else that the log holds is an event of the service
// "credence", named by its kind.
package export

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"
)

// Formats are the names that Write knows.
var Formats = []string{"ocsf", "cloudtrail", "jsonl"}

// leaf is what an export takes of a leaf. The end of a call is read over its
// begin.
type leaf struct {
	ID           string `json:"eventID"`
	Type         string `json:"eventType"`
	Time         string `json:"eventTime"`
	Call         string `json:"callID"`
	Source       string `json:"eventSource"`
	Name         string `json:"eventName"`
	Region       string `json:"awsRegion"`
	Account      string `json:"recipientAccountId"`
	Peer         string `json:"sourceIPAddress"`
	Agent        string `json:"userAgent"`
	ReadOnly     bool   `json:"readOnly"`
	ErrorCode    string `json:"errorCode"`
	ErrorMessage string `json:"errorMessage"`
	Outcome      string `json:"outcome"`
	Count        int64  `json:"count"`
	Identity     struct {
		Principal string   `json:"principalId"`
		Groups    []string `json:"groups"`
		Session   string   `json:"sessionId"`
		Key       string   `json:"accessKeyId"`
	} `json:"userIdentity"`
	Resources []struct {
		ARN  string `json:"ARN"`
		Type string `json:"type"`
	} `json:"resources"`
	Decision struct {
		Effect   string   `json:"effect"`
		Policies []string `json:"policies"`
	} `json:"decision"`
	Response struct {
		Status    int    `json:"status"`
		RequestID string `json:"requestId"`
	} `json:"response"`

	began time.Time
	ended time.Time
	whole json.RawMessage // the leaf that it ends with
}

// Write writes the leaves in one of the Formats.
func Write(w io.Writer, format string, leaves iter.Seq2[[]byte, error]) error {
	b := bufio.NewWriterSize(w, 64<<10)
	var err error
	switch format {
	case "jsonl":
		err = writeLeaves(b, leaves)
	case "ocsf":
		err = writeEvents(b, leaves, "\n", func(l *leaf) any { return ocsf(l) })
	case "cloudtrail":
		fmt.Fprint(b, `{"Records":[`)
		err = writeEvents(b, leaves, ",", func(l *leaf) any { return cloudTrail(l) })
		fmt.Fprint(b, "]}\n")
	default:
		return fmt.Errorf("export: the format %q is unknown", format)
	}
	if err != nil {
		return err
	}
	return b.Flush()
}

func writeLeaves(w io.Writer, leaves iter.Seq2[[]byte, error]) error {
	for leaf, err := range leaves {
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n", leaf); err != nil {
			return err
		}
	}
	return nil
}

// writeEvents writes what convert makes of each event. Lines end with their
// separator; members of a list stand between theirs.
func writeEvents(w io.Writer, leaves iter.Seq2[[]byte, error], separator string, convert func(*leaf) any) error {
	first := true
	for l, err := range events(leaves) {
		if err != nil {
			return err
		}
		data, err := json.Marshal(convert(l))
		if err != nil {
			return err
		}
		if separator == "," && !first {
			fmt.Fprint(w, separator)
		}
		first = false
		if _, err := w.Write(data); err != nil {
			return err
		}
		if separator == "\n" {
			fmt.Fprint(w, separator)
		}
	}
	return nil
}

// events joins the begin of each call with its end. What is open at the end of
// the log follows in the order of its begins.
func events(leaves iter.Seq2[[]byte, error]) iter.Seq2[*leaf, error] {
	return func(yield func(*leaf, error) bool) {
		open := map[string]*leaf{}
		var order []string
		for raw, err := range leaves {
			if err != nil {
				yield(nil, err)
				return
			}
			l, err := read(raw, open)
			if err != nil {
				yield(nil, err)
				return
			}
			if l.Type == "call.begin" {
				open[l.Call] = l
				order = append(order, l.Call)
				continue
			}
			if !yield(l, nil) {
				return
			}
		}
		for _, call := range order {
			if l := open[call]; l != nil && !yield(l, nil) {
				return
			}
		}
	}
}

// read reads a leaf, over its call's begin when it is an end.
func read(raw []byte, open map[string]*leaf) (*leaf, error) {
	var head struct {
		Type string `json:"eventType"`
		Call string `json:"callID"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	l := &leaf{}
	if begin := open[head.Call]; begin != nil && (head.Type == "call.end" || head.Type == "call.unknown") {
		l = begin
		delete(open, head.Call)
	}
	if err := json.Unmarshal(raw, l); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, l.Time)
	if err != nil {
		return nil, fmt.Errorf("export: event %s: %w", l.ID, err)
	}
	if l.ended = at; l.began.IsZero() {
		l.began = at
	}
	l.whole = append(json.RawMessage(nil), raw...)
	return l, nil
}

// operation is what was called: of AWS, or what happened at the gateway.
func (l *leaf) operation() (service, name string) {
	if l.Name == "" {
		return "credence", l.Type
	}
	return l.Source, l.Name
}

// unknown reports whether nobody knows how the call ended.
func (l *leaf) unknown() bool { return l.Type == "call.begin" || l.Type == "call.unknown" }

// failed reports whether it is a refusal, or a call that did not succeed.
func (l *leaf) failed() bool {
	return l.ErrorCode != "" || l.Type == "decision.deny" || l.Type == "session.deny" || l.Response.Status >= 400 ||
		l.Type == "call.end" && l.Outcome != "complete"
}
