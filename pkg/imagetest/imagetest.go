// Package imagetest makes images for tests from the machine's own programs, because there may be no registry to have them from.
package imagetest

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// User is the number of the user in an image; nobody has it on a common machine.
const User = 10101

// Image is what one holds, and nothing else.
type Image struct {
	Name     string            // what it is for; it is part of the answer of Import
	Programs []string          // dynamic ones come with the libraries that they are linked with
	Folders  []string          // empty, and the user's own
	Texts    map[string]string // path to content; they can be executed
	Trees    []string          // folders with all that is below
	Changes  []string          // as of a Dockerfile: ENV, CMD and such
}

// Import makes the image, whose processes are User's, and answers the name that the engine has for it. It goes with the test.
func (i Image) Import(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("chaosgate-test/%s:%d", i.Name, os.Getpid())
	args := []string{"import", "--change", fmt.Sprintf("USER %d:%[1]d", User)}
	for _, c := range i.Changes {
		args = append(args, "--change", c)
	}
	cmd := exec.Command("docker", append(args, "-", name)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rmi", "-f", name).CombinedOutput(); err != nil {
			t.Errorf("remove the image %s: %v: %s", name, err, out)
		}
	})
	err = i.write(in)
	_ = in.Close() // the import says what went wrong
	if err = errors.Join(err, cmd.Wait()); err != nil {
		t.Fatalf("make an image: %v: %s", err, said.String())
	}
	return name
}

// write writes the file system.
func (i Image) write(to io.Writer) error {
	files, err := libraries(i.Programs)
	if err != nil {
		return err
	}
	w := &root{tar: tar.NewWriter(to)}
	for _, dir := range i.Folders {
		w.dir(dir)
	}
	for path, text := range i.Texts {
		w.text(path, text)
	}
	for _, f := range files {
		w.file(f)
	}
	for _, dir := range i.Trees {
		w.tree(dir)
	}
	if w.err != nil {
		return w.err
	}
	return w.tar.Close()
}

// libraries are some programs with all that they are linked with, sorted.
func libraries(programs []string) ([]string, error) {
	out, err := exec.Command("ldd", programs...).Output()
	if err != nil {
		return nil, fmt.Errorf("find the libraries: %w", err)
	}
	files := slices.Clone(programs)
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") && !strings.HasSuffix(word, ":") {
			files = append(files, word)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// root writes an image's files; the first error is kept.
type root struct {
	tar *tar.Writer
	err error
}

func (w *root) add(h *tar.Header, content io.Reader) {
	if w.err != nil {
		return
	}
	h.ModTime = time.Unix(0, 0)
	if w.err = w.tar.WriteHeader(h); w.err == nil && content != nil {
		_, w.err = io.Copy(w.tar, content)
	}
}

func (w *root) dir(path string) {
	w.add(&tar.Header{Typeflag: tar.TypeDir, Name: path[1:] + "/", Mode: 0o700, Uid: User, Gid: User}, nil)
}

func (w *root) text(path, text string) {
	w.add(&tar.Header{Typeflag: tar.TypeReg, Name: path[1:], Mode: 0o755, Size: int64(len(text))}, strings.NewReader(text))
}

// file writes one file, with what a link leads to under the link's own name.
func (w *root) file(path string) {
	if w.err != nil {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		w.err = err
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		w.err = err
		return
	}
	w.add(&tar.Header{Typeflag: tar.TypeReg, Name: path[1:], Mode: 0o755, Size: info.Size()}, f)
}

func (w *root) tree(dir string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			w.file(path)
		}
		return err
	})
	if w.err == nil {
		w.err = err
	}
}
