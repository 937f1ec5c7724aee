package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MemoryJob takes memory.
const MemoryJob = "memory"

// fillTurn is how much is filled between two looks at the lease, of which so much is asked of the kernel at once, and how often a slow fill goes on.
const (
	fillTurn  = 16 << 20
	touchStep = 1 << 20
	fillEvery = 10 * time.Millisecond
)

// The victims: whom the kernel is to kill when memory runs out.
const (
	VictimService  = "service"
	VictimStressor = "stressor"
)

// MemoryConfig says how much.
type MemoryConfig struct {
	Size   int64  `json:"size"`             // bytes, resident
	Rate   int64  `json:"rate,omitempty"`   // bytes per second; 0 is at once
	Victim string `json:"victim,omitempty"` // empty leaves the choice to the kernel
	// Limit is that of the cgroup in which this process is, in bytes; 0 is none. Without one memory runs out for the whole machine, and then nobody but this process
	// may be killed, whatever Victim says.
	Limit int64 `json:"limit,omitempty"`
}

// MemoryStatus is what status and inject answer.
type MemoryStatus struct {
	Filled   int64 `json:"filled"`   // bytes of the size that were written to so far
	Resident int64 `json:"resident"` // bytes of the size that are in memory now, from the kernel; what this process needs for itself is not among them
	// OOMScoreAdj is read back: -1000 (never killed) to 1000 (killed first). A stressor that may not protect itself has another than it wanted.
	OOMScoreAdj int `json:"oom_score_adj"`
}

type memory struct {
	config MemoryConfig
	// apart keeps the memory out of what this process has itself: the service is to be killed first, and this process may not protect itself.
	apart bool

	block  []byte   // nil while nothing is injected
	file   *os.File // what block shows; nil if block is this process's own memory
	filled atomic.Int64
	stop   context.CancelFunc
	done   chan struct{} // closed when the fill has ended
}

func newMemory(config json.RawMessage) (job, error) {
	m := &memory{}
	if err := decode(config, &m.config); err != nil {
		return nil, err
	}
	switch {
	case m.config.Size <= 0:
		return nil, fmt.Errorf("size is %d bytes, expected more than 0", m.config.Size)
	case m.config.Rate < 0:
		return nil, fmt.Errorf("rate is %d bytes per second, expected 0 (at once) or more", m.config.Rate)
	}
	if m.config.Limit == 0 {
		if spare, err := available(); err == nil && m.config.Size > spare {
			return nil, fmt.Errorf("size is %d bytes, and the machine has %d to spare; the service has no limit of its own", m.config.Size, spare)
		}
		m.config.Victim = VictimStressor
	}
	err := setVictim(m.config.Victim)
	if m.config.Victim == VictimService && errors.Is(err, os.ErrPermission) {
		m.apart, err = true, nil
	}
	return m, err
}

// available is how much memory the machine can give without taking it from anybody.
func available() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10, nil
		}
	}
	return 0, errors.New("the kernel does not say how much memory is available")
}

// setVictim makes this process the first or the last to be killed. Being the last takes a privilege.
func setVictim(victim string) error {
	var score string
	switch victim {
	case "":
		return nil
	case VictimStressor:
		score = "1000"
	case VictimService:
		score = "-1000"
	default:
		return fmt.Errorf("victim is %q, expected %s or %s", victim, VictimService, VictimStressor)
	}
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(score), 0); err != nil {
		return fmt.Errorf("choose the victim: %w", err)
	}
	return nil
}

// inject begins to take the memory; status tells how far that has come. It does not wait: when memory has run out a fill may never end.
func (m *memory) inject(ctx context.Context) (any, error) {
	if m.block == nil {
		if err := m.take(ctx); err != nil {
			return nil, err
		}
	}
	return m.status(ctx)
}

func (m *memory) take(ctx context.Context) error {
	block, err := m.reserve()
	if err != nil {
		return fmt.Errorf("take %d bytes: %w", m.config.Size, err)
	}
	filling, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.block, m.stop, m.done = block, stop, make(chan struct{})
	m.filled.Store(0)
	go m.fill(filling, time.Now())
	return nil
}

// reserve maps the memory; none of it is taken yet. Memory apart is a file without a name: it is charged to the cgroup as any other and goes with this process, but as long as it
// is not touched through the mapping it is nothing that this process has, by which the kernel chooses whom to kill. Else a load that fills the limit would be killed before a service
// that holds next to nothing, whatever that one's score.
func (m *memory) reserve() ([]byte, error) {
	if !m.apart {
		return unix.Mmap(-1, 0, int(m.config.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	}
	fd, err := unix.MemfdCreate("load", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "load")
	err = file.Truncate(m.config.Size)
	var block []byte
	if err == nil {
		block, err = unix.Mmap(fd, 0, int(m.config.Size), unix.PROT_READ, unix.MAP_SHARED)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	m.file = file
	return block, nil
}

// touch has every page from one place to another written to, and answers how far it came. When memory has run out and nobody can be killed for it the kernel refuses; it is tried again at the next turn.
func touch(block []byte, file *os.File, at, end int) int {
	page := os.Getpagesize()
	for at < end {
		var err error
		next := at + page
		if file != nil {
			_, err = file.WriteAt([]byte{1}, int64(at))
		} else {
			next = min((min(at+touchStep, end)+page-1)/page*page, len(block))
			err = populate(block[at:next])
		}
		if err != nil {
			return at
		}
		at = next
	}
	return at
}

// populate has the kernel write to pages. A page that this process writes to itself it waits for if memory has run out and nobody is killed for it, and until it has it nothing of this process goes on: its
// collector of garbage waits for all that run. Kernels before 5.14 leave nothing else.
func populate(part []byte) error {
	err := unix.Madvise(part, unix.MADV_POPULATE_WRITE)
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	for at := 0; at < len(part); at += os.Getpagesize() {
		part[at] = 1
	}
	return nil
}

// fill writes to every page, so that the kernel must give one for each: until then all of them are the same page of zeros.
func (m *memory) fill(ctx context.Context, began time.Time) {
	defer close(m.done)
	tick := time.NewTicker(fillEvery)
	defer tick.Stop()
	for at := 0; at < len(m.block) && ctx.Err() == nil; {
		end := min(at+fillTurn, len(m.block))
		if m.config.Rate > 0 {
			end = min(end, int(time.Since(began).Seconds()*float64(m.config.Rate)))
		}
		at = touch(m.block, m.file, at, end)
		m.filled.Store(int64(min(at, len(m.block))))
		if at < end || m.config.Rate > 0 && at < len(m.block) {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
}

func (m *memory) status(context.Context) (any, error) {
	resident, err := residentBytes(m.block)
	if err != nil {
		return nil, err
	}
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return nil, fmt.Errorf("read the victim's choice back: %w", err)
	}
	adj, err := strconv.Atoi(strings.TrimSpace(string(score)))
	return MemoryStatus{Resident: resident, Filled: m.filled.Load(), OOMScoreAdj: adj}, err
}

// lookTurn is how much of the block is looked at in one call, so that the answer stays small where memory is scarce.
const lookTurn = 256 << 20

// residentBytes asks the kernel which pages of a block are in memory.
func residentBytes(block []byte) (int64, error) {
	page := os.Getpagesize()
	in := make([]byte, min(len(block), lookTurn)/page+1)
	var pages int64
	for ; len(block) > 0; block = block[min(len(block), lookTurn):] {
		n := min(len(block), lookTurn)
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&block[0])), uintptr(n), uintptr(unsafe.Pointer(&in[0])))
		if errno != 0 {
			return 0, fmt.Errorf("read how much of the memory is resident: %w", errno)
		}
		for _, p := range in[:(n+page-1)/page] {
			pages += int64(p & 1)
		}
	}
	return pages * int64(page), nil
}

// letGo takes the pages away from the fill until it has ended. A fill that waits in the kernel because memory has run out, and nobody is killed for it, goes on when there is some again.
func (m *memory) letGo(ctx context.Context) error {
	tick := time.NewTicker(fillEvery)
	defer tick.Stop()
	for {
		if m.file == nil { // of memory apart the kernel refuses what it does not have, so nobody waits
			if err := unix.Madvise(m.block, unix.MADV_DONTNEED); err != nil {
				return err
			}
		}
		select {
		case <-m.done:
			return nil
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the fill has not ended, it waits for memory: %w", context.Cause(ctx))
		}
	}
}

// revert waits no longer than ctx lasts: after an error the memory is still there, and goes with this process.
func (m *memory) revert(ctx context.Context) error {
	if m.block == nil {
		return nil
	}
	m.stop()
	if err := m.letGo(ctx); err != nil {
		return fmt.Errorf("give the memory back: %w", err)
	}
	if err := unix.Munmap(m.block); err != nil {
		return fmt.Errorf("give the memory back: %w", err)
	}
	m.block = nil
	if m.file != nil {
		if err := m.file.Close(); err != nil {
			return fmt.Errorf("give the memory back: %w", err)
		}
		m.file = nil
	}
	m.filled.Store(0)
	return nil
}
