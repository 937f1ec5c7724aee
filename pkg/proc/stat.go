package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Stat is what the kernel says of a process, or of one of its threads, at one moment.
type Stat struct {
	ID
	State  byte          // R running, S sleeping, T stopped, Z zombie, ...
	Parent int           // the process that is told of its end
	Group  int           // process group
	CPU    time.Duration // user and system time so far, of a process with the children it has waited for
	RSS    int64         // resident memory in bytes
}

// ticksPerSecond is the unit of times in /proc: USER_HZ, which is 100 on every architecture that Go runs on.
const ticksPerSecond = 100

// Dead says whether it has ended and only waits to be reaped.
func (s Stat) Dead() bool { return s.State == 'Z' || s.State == 'X' || s.State == 'x' }

// Stopped says whether it was stopped by a signal.
func (s Stat) Stopped() bool { return s.State == 'T' }

// Processors is how many processors the machine has at work, whatever this process may use of them.
func Processors() (int, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "cpu"); ok && rest[0] >= '0' && rest[0] <= '9' {
			n++
		}
	}
	if n == 0 {
		return 0, errors.New("/proc/stat names no processor")
	}
	return n, nil
}

// Idle is how long the machine's processors have been idle since its start, all of them together, waiting for disks included.
func Idle() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read how idle the machine is: %w", err)
	}
	return parseIdle(string(text))
}

// parseIdle reads the line "cpu user nice system idle iowait ..." as proc(5) describes it.
func parseIdle(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[0] != "cpu" {
		return 0, fmt.Errorf("unexpected first line of /proc/stat %q", line)
	}
	idle, err := strconv.ParseInt(fields[4], 10, 64)
	waiting, err2 := strconv.ParseInt(fields[5], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return 0, fmt.Errorf("unexpected first line of /proc/stat %q: %w", line, err)
	}
	return time.Duration(idle+waiting) * (time.Second / ticksPerSecond), nil
}

// ReadStat reads the state of the process that has this pid now. It is fs.ErrNotExist if there is none.
func ReadStat(pid int) (Stat, error) {
	return readStat(fmt.Sprintf("/proc/%d/stat", pid))
}

// Group answers the live members of a process group. One that joins while it reads may be missing.
func Group(group int) ([]Stat, error) {
	all, err := pids()
	if err != nil {
		return nil, fmt.Errorf("list process group %d: %w", group, err)
	}
	var members []Stat
	for _, pid := range all {
		if s, err := ReadStat(pid); err == nil && s.Group == group && !s.Dead() {
			members = append(members, s)
		}
	}
	return members, nil
}

// Threads answers the state of each thread of a process. It is fs.ErrNotExist if there is no such process.
func Threads(pid int) ([]Stat, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, fmt.Errorf("list the threads of process %d: %w", pid, fs.ErrNotExist))
	}
	var threads []Stat
	for _, file := range files {
		s, err := readStat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return nil, err
		}
		threads = append(threads, s)
	}
	return threads, nil
}

func readStat(file string) (Stat, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, syscall.ESRCH) {
		return Stat{}, fs.ErrNotExist // it went between open and read
	}
	if err != nil {
		return Stat{}, err
	}
	return parseStat(string(text))
}

// parseStat reads a line as proc(5) describes it: "pid (name) state ppid pgrp ...". The name may hold anything, spaces and parentheses too, so fields
// are counted from its last ')'.
func parseStat(text string) (Stat, error) {
	pid, _, begins := strings.Cut(text, " (")
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	if !begins || end < 0 || len(fields) < 22 {
		return Stat{}, fmt.Errorf("unexpected /proc stat line %q", text)
	}
	var bad error
	number := func(s string) int64 {
		v, err := strconv.ParseInt(s, 10, 64)
		bad = errors.Join(bad, err)
		return v
	}
	field := func(n int) int64 { return number(fields[n-3]) }
	ticks := field(14) + field(15) + field(16) + field(17)
	s := Stat{
		ID:     ID{PID: int(number(pid)), Start: uint64(field(22))},
		State:  fields[0][0],
		Parent: int(field(4)),
		Group:  int(field(5)),
		CPU:    time.Duration(ticks) * (time.Second / ticksPerSecond),
		RSS:    field(24) * int64(os.Getpagesize()),
	}
	if bad != nil {
		return Stat{}, fmt.Errorf("unexpected /proc stat line %q: %w", text, bad)
	}
	return s, nil
}

func pids() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
