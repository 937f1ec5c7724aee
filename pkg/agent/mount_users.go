package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Uses are files or processes that have something to do with a mount: how many, and the first of them by name.
type Uses struct {
	Count int      `json:"count,omitempty"`
	Names []string `json:"names,omitempty"`
}

// namedUses is how many are named.
const namedUses = 3

func (u *Uses) add(name string) {
	if u.Count++; u.Count <= namedUses {
		u.Names = append(u.Names, name)
	}
}

// mountUsers are those that have something of a mount, by its number, among the processes that /proc shows.
type mountUsers struct {
	proc    *os.File
	id      int
	below   string // only what lies there, "" is anything; as the calling thread sees it
	writing Uses   // files that are open for writing
	working Uses   // processes that have their working directory there
	hidden  Uses   // processes that may not be looked at
}

// look goes through all processes once. One that ends meanwhile has nothing.
func (u *mountUsers) look() error {
	all, err := numbersIn(u.proc, ".")
	if err != nil {
		return fmt.Errorf("see who has files open: %w", err)
	}
	for _, pid := range all {
		switch err := u.lookAt(pid); {
		case errors.Is(err, fs.ErrPermission):
			u.hidden.add("pid " + pid)
		case err != nil && !ended(err):
			return fmt.Errorf("see what process %s has open: %w", pid, err)
		}
	}
	return nil
}

func (u *mountUsers) lookAt(pid string) error {
	if err := u.lookAtFolder(pid); err != nil {
		return err
	}
	return u.lookAtFiles(pid)
}

// ended says whether the end of a process, or of what it had open, is behind an error.
func ended(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) }

// numbersIn are the names in a directory that are numbers.
func numbersIn(dir *os.File, name string) ([]string, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	all, err := f.Readdirnames(-1)
	return slices.DeleteFunc(all, func(n string) bool { _, err := strconv.Atoi(n); return err != nil }), err
}

func (u *mountUsers) lookAtFolder(pid string) error {
	folder := pid + "/cwd"
	fd, err := unix.Openat(int(u.proc.Fd()), folder, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	id, _, err := u.info("thread-self/fdinfo/" + strconv.Itoa(fd))
	if err != nil || id != u.id {
		return err
	}
	if _, in, err := u.name(folder); err != nil || !in {
		return err
	}
	command, err := readAt(u.proc, pid+"/comm")
	if err == nil {
		u.working.add(fmt.Sprintf("%s (pid %s)", strings.TrimSpace(command), pid))
	}
	return err
}

func (u *mountUsers) lookAtFiles(pid string) error {
	all, err := numbersIn(u.proc, pid+"/fd")
	if err != nil {
		return err
	}
	for _, n := range all {
		if err := u.lookAtFile(pid, n); err != nil && !ended(err) {
			return err
		}
	}
	return nil
}

func (u *mountUsers) lookAtFile(pid, n string) error {
	id, flags, err := u.info(pid + "/fdinfo/" + n)
	if err != nil || id != u.id || flags&unix.O_ACCMODE == unix.O_RDONLY {
		return err
	}
	file := pid + "/fd/" + n
	var st unix.Stat_t
	if err := unix.Fstatat(int(u.proc.Fd()), file, &st, 0); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return err
	}
	name, in, err := u.name(file)
	if err == nil && in {
		u.writing.add(name)
	}
	return err
}

// name is where a link of /proc leads, and whether that is asked for.
func (u *mountUsers) name(link string) (string, bool, error) {
	name := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(u.proc.Fd()), link, name)
	if err != nil {
		return "", false, err
	}
	at := string(name[:n])
	return at, u.below == "" || at == u.below || strings.HasPrefix(at, u.below+"/"), nil
}

// info reads what the kernel tells of an open file: the number of its mount and how it was opened.
func (u *mountUsers) info(file string) (id, flags int, err error) {
	text, err := readAt(u.proc, file)
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(text) {
		_, _ = fmt.Sscanf(line, "mnt_id: %d", &id)
		_, _ = fmt.Sscanf(line, "flags: %o", &flags)
	}
	return id, flags, nil
}
