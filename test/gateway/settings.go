package gateway

import (
	"os"
	"strings"
)

// NoSettings takes what an SDK or a proxy would be set by out of this process's
// environment, and so out of those of its children: a test means what it says,
// whoever runs it.
func NoSettings() {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name) // it was set
		}
	}
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
	} {
		_ = os.Setenv(name, value) // neither name nor value is malformed
	}
}
