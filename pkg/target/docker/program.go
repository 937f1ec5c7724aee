package docker

import (
	"archive/tar"
	"bufio"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// programPath is where the program is in its image.
const programPath = "/chaos"

// program is the image of an environment's helpers, made when the first one is started.
type program struct {
	mu   sync.Mutex
	name string // once it is made
}

// image answers the name of an image that holds a program and what it is linked to, and nothing else. It carries the environment's label, by which it is removed.
func (p *program) image(ctx context.Context, engine *client.Client, path, id string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name != "" {
		return p.name, nil
	}
	files, err := closure(path)
	if err != nil {
		return "", fmt.Errorf("make the helper's image: %w", err)
	}
	name := "chaosgate/helper:" + mark(id)
	reader, writer := io.Pipe()
	go func() { _ = writer.CloseWithError(pack(writer, files)) }()
	answer, err := engine.ImageImport(ctx, image.ImportSource{Source: reader, SourceName: "-"}, name, image.ImportOptions{Changes: []string{"LABEL " + labelOurs + "=" + mark(id)}})
	if err == nil {
		err = imported(answer)
	}
	if err = errors.Join(err, reader.Close()); err != nil {
		return "", fmt.Errorf("make the helper's image: %w", err)
	}
	p.name = name
	return name, nil
}

// forget has the image made anew when it is needed next.
func (p *program) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name = ""
}

// mark is the value of our label for an environment: its id may hold what an engine would take for something else.
func mark(id string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}

// imported reads what an engine says while it makes an image; a failure comes after the first word.
func imported(answer io.ReadCloser) error {
	defer answer.Close()
	lines := json.NewDecoder(bufio.NewReader(answer))
	for {
		var line struct{ Error string }
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}

// file is one file of an image: from here, to there.
type file struct{ from, to string }

// closure answers a program and, if it is not static, its loader and the libraries that it names. (This program is static as it is released; one that `go run` built
// where there is a C compiler is linked to the C library.)
func closure(path string) ([]file, error) {
	files := []file{{path, programPath}}
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	loader, err := loaderOf(f)
	if err != nil || loader == "" {
		return files, err
	}
	files = append(files, file{loader, loader})
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	for _, name := range libraries {
		from, err := library(name, loader)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(files, func(f file) bool { return filepath.Base(f.to) == name }) { // the loader is among them
			files = append(files, file{from, from}) // where it looks for it
		}
	}
	return files, nil
}

func loaderOf(f *elf.File) (string, error) {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		text, err := io.ReadAll(p.Open())
		if err != nil {
			return "", err
		}
		return string(trimZero(text)), nil
	}
	return "", nil
}

func trimZero(text []byte) []byte {
	if i := slices.Index(text, 0); i >= 0 {
		return text[:i]
	}
	return text
}

// library finds a library of the C library's own; others are not linked into this program.
func library(name, loader string) (string, error) {
	dirs := []string{filepath.Dir(loader), "/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("the library %s was not found; build this program with CGO_ENABLED=0", name)
}

// pack writes files as an archive.
func pack(out io.Writer, files []file) error {
	w := tar.NewWriter(out)
	for _, f := range files {
		if err := add(w, f); err != nil {
			return err
		}
	}
	return w.Close()
}

func add(w *tar.Writer, f file) error {
	in, err := os.Open(f.from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: f.to[1:], Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}
