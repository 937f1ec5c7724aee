package pgtest

import (
	"archive/tar"
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

// entry makes the data when there are none, as the official image does: with the scripts of a folder. After that it is the server.
const entry = `#!/bin/sh
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	echo "$POSTGRES_PASSWORD" >/tmp/password
	initdb -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 --no-sync -E UTF8 --locale=C
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
	pg_ctl -w -o "-c listen_addresses=" start
	psql -U "$POSTGRES_USER" -d postgres -c "CREATE DATABASE $POSTGRES_DB"
	for script in /docker-entrypoint-initdb.d/*.sh; do . "$script"; done
	pg_ctl -w -m fast stop
fi
exec "$@" -c listen_addresses=*
`

// imageUser is the number of the user in an image; nobody has it here.
const imageUser = 10101

// Image makes an image of the machine's own PostgreSQL, which takes the same variables as the official one as far as the project uses them, and answers its name. It goes
// with the test.
func Image(t testing.TB) string {
	t.Helper()
	bin := Programs(t)
	name := fmt.Sprintf("chaosgate-test/postgres:%d", os.Getpid())
	cmd := exec.Command("docker", "import", "--change", fmt.Sprintf("USER %d:%[1]d", imageUser), "--change", `ENTRYPOINT ["/bin/sh", "/entry.sh"]`, "--change", `CMD ["postgres"]`,
		"--change", "ENV PATH="+bin+" PGDATA=/var/lib/postgresql/data/pg TZ=UTC", "-", name)
	in, err := cmd.StdinPipe()
	must(t, err)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rmi", "-f", name).CombinedOutput(); err != nil {
			t.Errorf("remove the image %s: %v: %s", name, err, out)
		}
	})
	err = writeRoot(in, bin)
	_ = in.Close() // the import says what went wrong
	if waited := cmd.Wait(); err != nil || waited != nil {
		t.Fatalf("make an image: %v, %v: %s", err, waited, said.String())
	}
	return name
}

// writeRoot writes the file system of an image: the programs with their libraries, and what they read.
func writeRoot(to io.Writer, bin string) error {
	w := &root{tar: tar.NewWriter(to)}
	programs := []string{"/bin/sh"}
	for _, name := range []string{"postgres", "initdb", "pg_ctl", "psql", "pg_isready"} {
		programs = append(programs, filepath.Join(bin, name))
	}
	modules, err := filepath.Glob(filepath.Join(filepath.Dir(bin), "lib", "*.so"))
	if err != nil {
		return err
	}
	modules = slices.DeleteFunc(modules, func(m string) bool { return strings.HasPrefix(filepath.Base(m), "llvmjit") })
	files, err := libraries(append(programs, modules...))
	if err != nil {
		return err
	}
	for _, dir := range []string{"/tmp", "/run", "/var/run", "/var/run/postgresql", "/var/lib/postgresql", "/var/lib/postgresql/data"} {
		w.dir(dir)
	}
	w.text("/etc/passwd", fmt.Sprintf("postgres:x:%d:%[1]d::/tmp:/bin/sh\n", imageUser))
	w.text("/entry.sh", entry)
	for _, f := range files {
		w.file(f)
	}
	version := filepath.Base(filepath.Dir(bin))
	w.tree(filepath.Join("/usr/share/postgresql", version))
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
	w.add(&tar.Header{Typeflag: tar.TypeDir, Name: path[1:] + "/", Mode: 0o700, Uid: imageUser, Gid: imageUser}, nil)
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
