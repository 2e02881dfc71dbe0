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
