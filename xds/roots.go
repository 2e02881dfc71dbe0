package xds

import (
	_ "embed"
	"slices"
)

//go:embed roots.pem
var roots []byte

// AmazonRoots returns the PEM certificates that AWS's own endpoints chain to:
// Amazon Root CA 1 to 4 and Starfield Services Root CA G2 (Amazon Trust
// Services, https://www.amazontrust.com/repository/). The China partition
// chains elsewhere; set Config.Roots there.
func AmazonRoots() []byte { return slices.Clone(roots) }
