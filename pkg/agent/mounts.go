package agent

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/target"
)

// mount is a line of a mount table: what is mounted where.
type mount struct {
	id, parent int
	device     string // major:minor
	root       string // the directory of its file system that is mounted
	at         string
	options    []string
	shared     bool // what is mounted below it appears elsewhere as well
	kind       string
	super      []string // options of the file system, wherever it is mounted
}

// mountTable is that of the calling thread.
func mountTable(procfs *os.File) ([]mount, error) {
	text, err := readAt(procfs, "thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read what is mounted: %w", err)
	}
	var all []mount
	for line := range strings.Lines(text) {
		m, err := readMount(line)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// readAt reads a file below a directory that is open already: a thread in another mount namespace may find another one by the same path, or none.
func readAt(dir *os.File, name string) (string, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

// readMount reads a line such as "36 35 98:0 /a /b rw,noatime master:1 - ext3 /dev/root rw,errors=continue".
func readMount(line string) (mount, error) {
	own, rest, ok := strings.Cut(strings.TrimRight(line, "\n"), " - ")
	fields, fileSystem := strings.Split(own, " "), strings.Split(rest, " ")
	if !ok || len(fields) < 6 || len(fileSystem) < 3 {
		return mount{}, fmt.Errorf("the kernel's line on a mount reads %q", line)
	}
	id, err := strconv.Atoi(fields[0])
	if err != nil {
		return mount{}, fmt.Errorf("the kernel's line on a mount reads %q: %w", line, err)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return mount{}, fmt.Errorf("the kernel's line on a mount reads %q: %w", line, err)
	}
	return mount{
		id: id, parent: parent, device: fields[2], root: unescaped(fields[3]), at: unescaped(fields[4]), options: strings.Split(fields[5], ","),
		shared: slices.ContainsFunc(fields[6:], func(f string) bool { return strings.HasPrefix(f, "shared:") }),
		kind:   fileSystem[0], super: strings.Split(fileSystem[2], ","),
	}, nil
}

// unescaped takes back what the kernel writes for blanks, line ends and backslashes in a path.
func unescaped(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

// mountOf finds what an open file lies on.
func mountOf(f *os.File) (target.Mount, error) {
	procfs, err := openDirectory("/proc")
	if err != nil {
		return target.Mount{}, err
	}
	defer procfs.Close()
	m, err := mountIn(procfs, f)
	return target.Mount{At: m.at, Type: m.kind, Sized: slices.ContainsFunc(m.super, func(o string) bool { return strings.HasPrefix(o, "size=") })}, err
}

// mountIn finds the mount of an open file in the mount table of the calling thread.
func mountIn(procfs, f *os.File) (mount, error) {
	text, err := readAt(procfs, "thread-self/fdinfo/"+strconv.Itoa(int(f.Fd())))
	if err != nil {
		return mount{}, fmt.Errorf("read what %s lies on: %w", f.Name(), err)
	}
	id := 0
	for line := range strings.Lines(text) {
		if _, err := fmt.Sscanf(line, "mnt_id: %d", &id); err == nil {
			break
		}
	}
	all, err := mountTable(procfs)
	if err != nil {
		return mount{}, err
	}
	if i := slices.IndexFunc(all, func(m mount) bool { return m.id == id }); i >= 0 {
		return all[i], nil
	}
	return mount{}, fmt.Errorf("what %s lies on is not in the mount table", f.Name())
}
