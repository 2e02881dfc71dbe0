package sigv4

import (
	"crypto/md5"  //nolint:gosec // the agent's choice of checksum, not a signature
	"crypto/sha1" //nolint:gosec // the same
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
)

// crc64NVMe is the reversed polynomial of CRC-64/NVME, from the NVM Express
// NVM Command Set Specification, 5.2.1.3.4.
const crc64NVMe = 0x9a6c9329ac4bc9b5

var (
	castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })
	nvme       = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(crc64NVMe) })
)

// checksum returns the hash of a checksum header's name, or nil for a name that
// is not one. Values are the base64 of its big-endian sum.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
func checksum(header string) hash.Hash {
	switch header {
	case "x-amz-checksum-crc32":
		return crc32.NewIEEE()
	case "x-amz-checksum-crc32c":
		return crc32.New(castagnoli())
	case "x-amz-checksum-crc64nvme":
		return crc64.New(nvme())
	case "x-amz-checksum-sha1":
		return sha1.New()
	case "x-amz-checksum-sha256":
		return sha256.New()
	case "x-amz-checksum-sha512":
		return sha512.New()
	case "x-amz-checksum-md5":
		return md5.New()
	case "x-amz-checksum-xxhash64":
		return xxhash.New()
	case "x-amz-checksum-xxhash3":
		return xxh3.New()
	case "x-amz-checksum-xxhash128":
		return xxh3.New128()
	}
	return nil
}
