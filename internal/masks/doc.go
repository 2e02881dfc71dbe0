// Package masks says which masks an answer is under, and keeps them compiled.
//
// Policy chooses sets of rules by name, with @mask("secrets,pii"):
//
//	keys      AWS keys and what makes a presigned URL good, in any answer that
//	          is not an object; always on unless the configuration says otherwise
//	secrets   what AWS's models call sensitive, the overlay (overlay.go) of what
//	          they miss, and the detectors of credentials
//	pii       the detectors of personal data
//	tokens    as secrets, but each value becomes a token that the agent can pass
//	          on in a later call of its session, where policy has it replaced by
//	          the value (@unmask)
//	NAME      the operator's rules, by masking.sets
//
// Plan is asked at the door in: it leaves out what the call's operation and
// resources have nothing to do with, and what is left is a short string that the
// grant carries. Mask is asked at the door out, by that string.
//
// # Requests
//
// Watch is asked at the door in as Plan is: which detectors look into a request,
// those that refuse what they find apart from those that have people asked. Guard
// and Find compile them.
//
// # Objects
//
// The bodies of S3 objects, of Lambda's and Bedrock's payloads and of other
// streamed members are the agent's work, not an API's answer. "keys" leaves them
// alone, and so do the other sets' detectors in the operations of
// masking.exempt; everything else looks into them by their content type.
//
// # Tokens
//
// A token is "crdt-" and, in base32, a box of the gateway's key ring whose
// purpose names the session and the account: nobody but this gateway can open
// it, and it opens in no other session or account. Inside are the operation whose
// answer the value comes from, and the value.
package masks
