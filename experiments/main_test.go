package experiments

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// What tests share is made once, by the first that needs it: the command, and the images of docker-compose.yml.
var (
	builtCommand = sync.OnceValues(buildCommand)
	builtImages  = sync.OnceValues(func() (string, error) { return inProject("make", "images") })
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := os.RemoveAll(commandFolder()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// chaos is the path of the real program, built from this checkout.
func chaos(t *testing.T) string {
	t.Helper()
	if said, err := builtCommand(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return filepath.Join(commandFolder(), "chaos")
}

// commandFolder is this process's own.
func commandFolder() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("chaosgate-test-%d", os.Getpid()))
}

func buildCommand() (said string, err error) {
	return inProject("go", "build", "-buildvcs=false", "-o", commandFolder()+"/", "./cmd/chaos")
}

// inProject runs a command in the project's folder.
func inProject(program string, args ...string) (said string, err error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	return string(out), err
}
