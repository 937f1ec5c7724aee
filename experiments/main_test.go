package experiments

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// What tests share is made once, by the first that needs it: the command, and the images of docker-compose.yml.
var (
	builtCommand = sync.OnceValues(buildCommand)
	builtImages  = sync.OnceValues(buildImages)
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
	if err := lookAt("cmd", "pkg", "schema"); err != nil {
		return "", err
	}
	return inProject("go", "build", "-buildvcs=false", "-o", commandFolder()+"/", "./cmd/chaos")
}

func buildImages() (said string, err error) {
	if err := lookAt("services"); err != nil {
		return "", err
	}
	return inProject("make", "images")
}

// lookAt has `go test` know what a result depends on that the test builds by itself: from its cache it answers unless something has changed that was looked at.
func lookAt(folders ...string) error {
	for _, folder := range folders {
		if err := filepath.WalkDir(filepath.Join("..", folder), func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			return err
		}
	}
	return nil
}

// inProject runs a command in the project's folder.
func inProject(program string, args ...string) (said string, err error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	return string(out), err
}
