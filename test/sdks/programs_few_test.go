//go:build !sdks

package sdks_test

// more: the build tag sdks has them.
var more []sdk
