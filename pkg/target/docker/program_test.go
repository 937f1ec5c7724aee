package docker

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// build compiles a program, with the C library or without.
func build(t *testing.T, cgo string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module x\n\ngo 1.24\n")
	write(t, filepath.Join(dir, "main.go"), "package main\n\nimport \"net\"\n\nfunc main() { println(net.JoinHostPort(\"a\", \"1\")) }\n")
	program := filepath.Join(dir, "x")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED="+cgo, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// An image holds all that a program needs, and no more: of a static one that is itself.
func TestClosure(t *testing.T) {
	static, err := closure(build(t, "0"))
	must(t, err)
	if len(static) != 1 || static[0].to != programPath {
		t.Errorf("static: %+v", static)
	}
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("a program that is linked to the C library takes a C compiler")
	}
	dynamic, err := closure(build(t, "1"))
	must(t, err)
	if len(dynamic) < 3 || !slices.ContainsFunc(dynamic, func(f file) bool { return strings.HasPrefix(filepath.Base(f.to), "libc.so") }) {
		t.Errorf("dynamic: %+v", dynamic)
	}
	var archive bytes.Buffer
	must(t, pack(&archive, dynamic))
	in := tar.NewReader(&archive)
	for n := 0; ; n++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) && n == len(dynamic) {
			break
		}
		must(t, err)
		if "/"+h.Name != dynamic[n].to || h.Mode != 0o755 || h.Size == 0 {
			t.Errorf("file %d is %+v, want %s", n, h, dynamic[n].to)
		}
	}
	if _, err := closure("/etc/hostname"); err == nil {
		t.Error("what is no program was taken for one")
	}
}

// An engine says what went wrong with an image only after it has said that it goes well.
func TestImported(t *testing.T) {
	for text, want := range map[string]string{
		`{"status":"sha256:1"}`: "", `{"status":"reading"}` + "\n" + `{"errorDetail":{"message":"disk full"},"error":"disk full"}`: "disk full", `{"status`: "unexpected EOF",
	} {
		err := imported(io.NopCloser(strings.NewReader(text)))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
