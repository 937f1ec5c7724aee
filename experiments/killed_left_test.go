package experiments

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
)

// seen is what belonged to a run while it lived, from outside: its processes with their groups and sessions, and the sockets on which they listened.
type seen struct {
	processes map[proc.ID]string // what they were called
	groups    map[int]bool       // of processes and of sessions
	listening map[string]string  // inode -> address
}

func newSeen() seen {
	return seen{map[proc.ID]string{}, map[int]bool{}, map[string]string{}}
}

// process is one line of /proc.
type process struct {
	proc.Stat
	parent, session int
	name            string
}

// processes answers all that live but this one.
func processes() []process {
	var all []process
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		s, err := proc.ReadStat(pid)
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if err != nil || s.Dead() || len(fields) < 4 {
			continue
		}
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		p := process{Stat: s, name: strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))}
		p.parent, _ = strconv.Atoi(fields[1])
		p.session, _ = strconv.Atoi(fields[3])
		all = append(all, p)
	}
	return all
}

// look adds the processes that carry a mark, all that descend from those, and their sockets.
func (s seen) look(marks []string) {
	ours := map[int]bool{}
	for _, mark := range marks {
		marked, _ := proc.FindMarked(mark)
		for _, id := range marked {
			ours[id.PID] = true
		}
	}
	all := processes()
	for grew := true; grew; {
		grew = false
		for _, p := range all {
			if !ours[p.PID] && ours[p.parent] {
				ours[p.PID], grew = true, true
			}
		}
	}
	sockets := listeners()
	for _, p := range all {
		if !ours[p.PID] {
			continue
		}
		s.processes[p.ID] = p.name
		for _, leader := range []int{p.Group, p.session} {
			s.groups[leader] = s.groups[leader] || ours[leader]
		}
		for _, file := range openFiles(p.PID) {
			inode, ok := strings.CutPrefix(file, "socket:[")
			if inode = strings.TrimSuffix(inode, "]"); ok && sockets[inode] != "" {
				s.listening[inode] = sockets[inode]
			}
		}
	}
}

func openFiles(pid int) []string {
	var files []string
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	for _, fd := range fds {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name())); err == nil {
			files = append(files, to)
		}
	}
	return files
}

// listeners answers the address of each TCP socket of this machine that listens, by its inode.
func listeners() map[string]string {
	const listens = "0A"
	all := map[string]string{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); len(fields) > 9 && fields[3] == listens {
				all[fields[9]] = fields[1]
			}
		}
		f.Close()
	}
	return all
}

// wrong waits until nothing is left of the run, and answers all that is after its time, or that is wrong with how it ended.
func (v *victim) wrong() []string {
	for ; ; time.Sleep(50 * time.Millisecond) {
		v.took = time.Since(v.overAt) // when the look begins: it takes long on a busy machine
		left := v.left()
		if len(left) == 0 || v.took > *killedWithin {
			return append(left, v.judged()...)
		}
	}
}

// left answers what is left of the run, all of it seen from outside.
func (v *victim) left() []string {
	var left []string
	all := processes()
	for _, p := range all {
		if _, known := v.seen.processes[p.ID]; known || v.seen.groups[p.Group] || v.seen.groups[p.session] {
			left = append(left, fmt.Sprintf("process %d (%c) %s", p.PID, p.State, p.name))
		}
	}
	for _, mark := range v.marks() {
		marked, err := proc.FindMarked(mark)
		if err != nil || len(marked) > 0 {
			left = append(left, fmt.Sprintf("processes with the mark %s: %v %v", mark, marked, err))
		}
	}
	sockets := listeners()
	for inode, address := range v.seen.listening {
		if sockets[inode] != "" {
			left = append(left, "a socket that listens on "+address)
		}
	}
	if left = append(append(left, v.files()...), v.undone()...); len(left) > 0 {
		return left
	}
	for _, p := range all { // last, because it takes long
		if slices.ContainsFunc(openFiles(p.PID), v.owns) {
			left = append(left, fmt.Sprintf("process %d (%c) %s, which has a file of the run open", p.PID, p.State, p.name))
		}
	}
	return left
}

func (v *victim) owns(file string) bool { return strings.HasPrefix(file, v.dir+"/") }

// files answers what is left on disk beside the reports: data of services, cgroups, copies of programs, and the run's entry among those that may have left something.
func (v *victim) files() []string {
	var left []string
	copies := fmt.Sprintf("../.chaos/run-%d-*", v.cmd.Process.Pid)
	for _, pattern := range []string{filepath.Join(v.tmp(), "chaos-*"), copies, filepath.Join(v.reports(), ".running", "*.json")} {
		found, _ := filepath.Glob(pattern)
		left = append(left, found...)
	}
	events, _ := v.events()
	for _, e := range events {
		for _, dir := range cgroups(e) {
			if _, err := os.Stat(dir); err == nil {
				left = append(left, dir)
			}
		}
	}
	_ = filepath.WalkDir(v.tmp(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".db") && locked(path) {
			left = append(left, "a lock on "+path)
		}
		return nil
	})
	return left
}

// cgroups answers those that an event of the journal says will be made.
func cgroups(e journal.Event) []string {
	if e.Type != journal.UndoRecorded {
		return nil
	}
	undo, err := journal.Decode[struct {
		Data struct {
			Cgroups []string `json:"cgroups"`
		} `json:"data"`
	}](e)
	if err != nil {
		return nil
	}
	return undo.Data.Cgroups
}

// locked says whether anybody holds a lock on a file.
func locked(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}

// undone answers what is wrong with the journal: it must be read to its last whole line, and hold nothing that is not undone.
func (v *victim) undone() []string {
	events, err := v.events()
	if err != nil {
		return []string{err.Error()}
	}
	pending, err := journal.Pending(events)
	if err != nil {
		return []string{err.Error()}
	}
	var left []string
	for _, p := range pending {
		left = append(left, "not undone: "+p.ID)
	}
	return left
}

// events are those of the run's journal; none if it died before it had one.
func (v *victim) events() ([]journal.Event, error) {
	path := journalIn(v.reports())
	if path == "" {
		return nil, nil
	}
	return journal.ReadFile(path)
}
