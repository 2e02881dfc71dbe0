// Package audit is the log of record: every call has its begin here before a
// byte of it goes to AWS, and its end before the agent can have the whole
// answer.
//
// # Leaves
//
// An Event is written as one leaf: JSON in the canonical form of RFC 8785
// (JCS), at most 64 KiB, with CloudTrail's names where CloudTrail has one. A
// leaf never holds a parameter, a body, a token or a key's secret.
//
// # Files
//
// A log is a folder (0700) of segments "00000001.seg", "00000002.seg" … (0600),
// written by one process at a time (a lock on the file "lock"). A segment is a
// sequence of frames:
//
//	length  uint32, big endian: bytes of the leaf
//	crc     uint32, big endian: CRC-32C of the leaf
//	leaf    JCS JSON
//
// A frame belongs to the log once fdatasync has returned for it. One writer
// drains whatever is queued, writes it with one write and one fdatasync, and
// then answers every Append of the batch: no timer, so a lone call waits for
// one sync and a crowd shares it.
//
// # Checkpoints
//
// Each second a log that has grown signs what is durable: the file "checkpoint"
// is a signed note (C2SP tlog-checkpoint) of three lines, the log's name
// ("<audit.origin>/<epoch>", fixed when the log is made), the number of leaves,
// and the tree's root in base64 (RFC 6962, section 2.1; its leaves are the JSON).
//
// The key is Ed25519. Its file (0600, Config.KeyFile) holds
// "credence-log-key-ed25519 " and the seed in base64. Every log.open names the
// verifier key; a key.rotate names the next one and is signed by both.
//
// # Tiles
//
// Beside the segments stands what others check the log by (C2SP tlog-tiles):
// "tile/<level>/<n>", 256 hashes each, and "tile/entries/<n>", 256 leaves each
// behind its length (uint16, big endian); ".p/<width>" is added to what is not
// full yet. The segments are the truth: what a crash leaves out here is made
// again from them.
//
// # Anchors
//
// An Anchor keeps checkpoints where the log's host can't change them, each as
// "<name of the log>/<size>" with the size in 20 digits. It is given the first at
// once, then one a minute or every 10,000 leaves. Verify checks a log, or a copy
// of its published form, against them; without any it proves only that the log
// agrees with itself. Prove and CheckProof do the same for one leaf (C2SP
// tlog-proof, the leaf being its extra data).
//
// # Failure
//
// A failed or stalled write or sync poisons the log: nothing is appended any
// more, since a second fdatasync may report success for data that the kernel
// has dropped. The process must be started again. On a disk that runs full the
// log stops taking begins early, and a reserve file is given up so that the
// ends of calls in flight still find room.
//
// At Open a torn tail (a frame that was never acknowledged) is cut off and
// recorded as log.recovered; a broken frame anywhere else is an error. A
// call.begin without its end becomes a call.unknown: the call may have been
// executed.
package audit
