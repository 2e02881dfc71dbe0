// Package bodies keeps what calls said: each recorded request and response, as
// the agent saw it, encrypted beside the log. The log's leaf holds a Reference;
// deleting a session's key erases what was said in it, and the log still
// verifies.
//
//	store, err := bodies.Open(bodies.Config{Dir: dir, Recipients: recipients})
//	r, err := store.Begin(bodies.Message{Session: s, Call: id, Direction: bodies.Request, Head: head})
//	_, err = r.Write(body)                 // any number of times
//	reference := r.Finish()                // for the leaf
//	err = store.Sync()                     // before anything is released that depends on it
//
// # Files
//
// The folder (0700) holds
//
//	keys/<session>/<id>.age                 a session's key, wrapped
//	packs/<retention>/<time>-<id>.pack      recordings, many in one file
//
// A session's key is 32 random bytes, encrypted to every recipient in age's
// format (https://age-encryption.org/v1): X25519 keys, or AWS KMS keys by the
// stanza "credence-kms". The gateway keeps it in memory for as long as it
// records the session; it can't read what an earlier process recorded.
//
// A pack begins with the line "credence bodies 1\n". Frames follow:
//
//	length  uint32, big endian: bytes of the box
//	stream  uint64, big endian: the recording, unique in its pack
//	index   uint32, big endian: 0, 1, 2 …; the last one has the bit 1<<31
//	box     AES-256-GCM of up to 64 KiB
//
// Frames of several recordings alternate. The AEAD key of a recording is
// HKDF-SHA256 (RFC 5869) of the session's key with the info "credence body
// CALL DIRECTION PACK STREAM", so that two recordings never share a key, also
// not of one message; the nonce is the index as in the frame, in 12 bytes, so
// that no chunk can be moved, dropped or taken for the last (the STREAM
// construction, https://eprint.iacr.org/2015/189).
//
// The plaintext is the length of the head as a uvarint, the head (JSON: method
// and target or status, and the headers without credentials), and the body.
//
// AES-GCM doesn't commit to its key, so the Reference holds a commitment, HKDF
// of the session's key with "credence commitment " in place of "credence
// body ": nobody can show another key under which a recording says something
// else.
//
// # Retention
//
// Packs of one retention lie in one folder, named by days ("90"). Sweep deletes
// a pack once the youngest recording in it is that old. Erase deletes a
// session's keys. Both first tell what they will delete, for the log: a body that
// is gone without a word there is evidence of tampering.
//
// # Shipping
//
// A Shipper copies finished packs and wrapped keys to a Remote, and says by a
// file in "shipped" what is there. What Erase and Sweep delete is deleted there
// first: every version of it, and looked for afterwards.
//
// # Failure
//
// A failed or stalled write poisons the store, as it does the log: every
// recording fails from then on, and so does every call that needs one.
package bodies
