package process

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/spec"
)

func timeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// module makes a Go module with these packages.
func module(t *testing.T, mains map[string]string) string {
	t.Helper()
	files := map[string]string{"go.mod": "module example\n\ngo 1.21\n"}
	for pkg, text := range mains {
		files[pkg+"/main.go"] = text
	}
	return tree(t, files)
}

func TestBuildBuildsEachPackageOnce(t *testing.T) {
	root := module(t, map[string]string{"a": "package main\n\nfunc main() {}\n"})
	env := spec.Environment{Services: map[string]spec.Service{"one": {Build: "./a"}, "two": {Build: "./a"}, "three": {Command: []string{"x"}}}}
	out := t.TempDir()
	binaries, err := Build(t.Context(), root, env, out)
	if err != nil || len(binaries) != 2 || binaries["one"] != binaries["two"] {
		t.Fatalf("got %v, %v", binaries, err)
	}
	if entries, _ := os.ReadDir(out); len(entries) != 1 {
		t.Errorf("got %v", entries)
	}
}

func TestBuildSaysWhatTheCompilerSaid(t *testing.T) {
	root := module(t, map[string]string{"a": "package main\n\nfunc main() { wrong() }\n", "b": "package main\n\nfunc main() { also() }\n"})
	env := spec.Environment{Services: map[string]spec.Service{"a": {Build: "./a"}, "b": {Build: "./b"}, "c": {Build: "./c"}}}
	_, err := Build(t.Context(), root, env, t.TempDir())
	for _, want := range []string{"build ./a: go build ended with exit code 1", "undefined: wrong", "undefined: also", "build ./c"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestBuildWithoutGo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Build(t.Context(), "/", spec.Environment{Services: map[string]spec.Service{"a": {Build: "./a"}}}, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "install it from https://go.dev/dl, or give the services a command") {
		t.Errorf("got %v", err)
	}
	if b, err := Build(t.Context(), "/", spec.Environment{Services: map[string]spec.Service{"a": {Command: []string{"x"}}}}, ""); err != nil || len(b) != 0 {
		t.Errorf("nothing to build: got %v, %v", b, err)
	}
}

func TestPortsAreHeldUntilReleased(t *testing.T) {
	p, err := holdPorts([]string{"http", "admin"})
	if err != nil {
		t.Fatal(err)
	}
	if p.numbers["http"] == p.numbers["admin"] {
		t.Error("the same port twice")
	}
	for _, want := range []bool{false, true, true} {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p.numbers["http"]))
		if free := err == nil; free != want {
			t.Errorf("free is %v, want %v", free, want)
		}
		if err == nil {
			_ = l.Close()
		}
		if err := p.release(); err != nil {
			t.Error(err)
		}
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	f, _, err := openLog(path, "a-1", []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	f, from, err := openLog(path, "a-1", []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	if got := tail(path, from); !strings.Contains(got, "it wrote nothing") {
		t.Errorf("got %q", got)
	}
	for i := range 1000 {
		_, _ = f.WriteString("line " + strconv.Itoa(i) + "\n")
	}
	_ = f.Close()
	if got := tail(path, from); !strings.HasSuffix(got, "line 999") || strings.Contains(got, "line 987") || !strings.Contains(got, "line 988") {
		t.Errorf("got %q", got)
	}
}
