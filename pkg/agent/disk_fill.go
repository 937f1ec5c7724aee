package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// DiskFillJob takes room on the file system of a directory, or of a database. What it takes is a file without a name, so it is free again when the helper has ended,
// whatever ends it.
const DiskFillJob = "disk-fill"

// DiskFillConfig says how much.
type DiskFillConfig struct {
	Path     string `json:"path,omitempty"`     // of the directory
	Database string `json:"database,omitempty"` // a SQLite file instead: the directory is the one that it is in, with links followed
	Size     int64  `json:"size,omitempty"`     // bytes to take, once; 0 is all but Leave
	// Leave is how many bytes may be free: what somebody frees beyond that is taken as well.
	Leave int64 `json:"leave,omitempty"`
}

// DiskFillStatus is what inject and status answer. Write is that of the file system while nothing is taken; afterwards it is what came of the last attempt to take more.
type DiskFillStatus struct {
	DirectoryStatus
	Path string `json:"path"` // of the directory
	// Astray says why the database is no longer where room is taken; empty if it is, or none was named.
	Astray string `json:"astray,omitempty"`
	Held   int64  `json:"held"` // bytes that are taken, from the kernel
	Done   bool   `json:"done"` // what was asked for is taken, or there is no more
	// Spare is how much memory the machine can give without taking it from anybody: a file system may be memory.
	Spare int64 `json:"spare"`
}

type diskFill struct {
	config DiskFillConfig
	dir    string       // what is looked at
	mount  target.Mount // what that lay on at first

	file  *os.File // nil while nothing is injected
	stop  context.CancelFunc
	ended chan struct{} // closed when nothing more is taken

	mu      sync.Mutex // of what follows
	at      int64      // the end of what is taken
	tried   error      // what came of the last attempt
	done    bool
	stopped error // why it was given up
}

func newDiskFill(config json.RawMessage) (job, error) {
	d := &diskFill{}
	if err := decode(config, &d.config); err != nil {
		return nil, err
	}
	c := d.config
	if c.Size < 0 || c.Leave < 0 || c.Size > 0 && c.Leave > 0 {
		return nil, fmt.Errorf("size is %d bytes and leave is %d, expected one of them", c.Size, c.Leave)
	}
	var err error
	if d.dir, err = c.directory(); err != nil {
		return nil, err
	}
	now, err := lookAt(d.dir)
	if err != nil {
		return nil, err
	}
	d.mount = now.Mount
	if err := d.astray(); err != nil {
		return nil, err
	}
	if d.mount.Type == target.Tmpfs { // if memory runs out, nobody else is killed for it
		err = setVictim(VictimStressor)
	}
	return d, err
}

// directory answers which one is meant.
func (c DiskFillConfig) directory() (string, error) {
	switch {
	case c.Database == "":
		return c.Path, checkPath(c.Path)
	case c.Path != "":
		return "", fmt.Errorf("path is %q and database is %q, expected one of them", c.Path, c.Database)
	case !path.IsAbs(c.Database):
		return "", fmt.Errorf("database is %q, expected that of a file, from / on", c.Database)
	}
	checking, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	if err := sqlitefile.CheckDatabase(checking, c.Database); err != nil {
		return "", err
	}
	at, err := sqlitefile.Place(c.Database)
	return path.Dir(at), err
}

// astray is an error if there is a database and it does not lie where room is taken. A new file there meets what the old one did.
func (d *diskFill) astray() error {
	if d.config.Database == "" {
		return nil
	}
	at, err := sqlitefile.Place(d.config.Database)
	if err != nil {
		return err
	}
	if dir := path.Dir(at); dir != d.dir {
		return fmt.Errorf("the database %s is in %s now, and was in %s", d.config.Database, dir, d.dir)
	}
	file, err := unix.Open(at, unix.O_PATH|unix.O_CLOEXEC, 0) // to open it for more, and close it, would drop locks of this process
	if err != nil {
		return fmt.Errorf("look at the database %s: %w", d.config.Database, err)
	}
	f := os.NewFile(uintptr(file), at)
	defer f.Close()
	now, err := mountOf(f)
	if err == nil && now != d.mount {
		err = fmt.Errorf("the database %s is on %s at %s, and %s is on %s at %s", d.config.Database, now.Type, now.At, d.dir, d.mount.Type, d.mount.At)
	}
	return err
}

// inject begins to take room; status tells how far that has come.
func (d *diskFill) inject(ctx context.Context) (any, error) {
	if d.file == nil {
		if err := d.begin(ctx); err != nil {
			return nil, err
		}
	}
	return d.status(ctx)
}

func (d *diskFill) begin(ctx context.Context) error {
	if err := d.astray(); err != nil {
		return err
	}
	file, err := nameless(d.dir)
	if err != nil {
		return err
	}
	now, err := mountOf(file)
	if err == nil && now != d.mount {
		err = fmt.Errorf("%s was on %s at %s and is on %s at %s now", d.dir, d.mount.Type, d.mount.At, now.Type, now.At)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	d.file, d.ended = file, make(chan struct{})
	d.at, d.tried, d.done, d.stopped = 0, nil, false, nil
	filling, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	go d.fill(filling)
	return nil
}

// fill takes what is asked for. With Leave it goes on for as long as the job does: what somebody frees is no way out.
func (d *diskFill) fill(ctx context.Context) {
	defer close(d.ended)
	tick := time.NewTicker(fillEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if d.turn() {
			continue
		}
		if d.over() {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (d *diskFill) over() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopped != nil || d.config.Size > 0 && d.done
}

// turn takes some, and answers whether there may be more to take at once.
func (d *diskFill) turn() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted, err := d.wanted()
	if err == nil && wanted > 0 {
		var n int64
		n, err = d.take(min(wanted, fillTurn))
		d.at += n
		d.tried = err
	}
	d.done = d.done || wanted <= 0 || errors.Is(err, unix.ENOSPC)
	if err != nil && !errors.Is(err, unix.ENOSPC) {
		d.stopped = err
	}
	return wanted > 0 && err == nil
}

// wanted is how much there is still to take. Where nothing is to be left one more page is always wanted, so that it is a write that tells that there is none.
func (d *diskFill) wanted() (int64, error) {
	if d.config.Size > 0 {
		return d.config.Size - d.at, nil
	}
	now, err := roomOf(d.file)
	page := int64(os.Getpagesize())
	if d.config.Leave == 0 {
		return max(now.Free, page), err
	}
	return (now.Free - d.config.Leave) / page * page, err
}

// zeros is what is written where room cannot be had without writing.
var zeros [64 << 10]byte

// take takes up to n bytes and answers how many it has taken. The error is that of a write.
func (d *diskFill) take(n int64) (int64, error) {
	switch err := unix.Fallocate(int(d.file.Fd()), 0, d.at, n); {
	case err == nil:
		return n, nil
	case errors.Is(err, syscall.EINTR):
		return 0, nil
	}
	written, err := d.file.WriteAt(zeros[:min(n, int64(len(zeros)))], d.at)
	return int64(written), err
}

func (d *diskFill) status(context.Context) (any, error) {
	spare, err := available()
	if err != nil {
		return nil, err
	}
	if d.file == nil {
		now, err := lookAt(d.dir)
		return DiskFillStatus{DirectoryStatus: now, Path: d.dir, Astray: said(d.astray()), Spare: spare}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped != nil {
		return nil, fmt.Errorf("take room at %s: %w", d.dir, d.stopped)
	}
	now, err := roomOf(d.file)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(d.file.Fd()), &st); err != nil {
		return nil, fmt.Errorf("read how much is taken: %w", err)
	}
	const block = 512 // whatever the file system's own are
	now.Mount, now.Write, now.Text = d.mount, writeOutcome(d.tried), said(d.tried)
	return DiskFillStatus{DirectoryStatus: now, Path: d.dir, Astray: said(d.astray()), Held: st.Blocks * block, Done: d.done, Spare: spare}, nil
}

func (d *diskFill) revert(context.Context) error {
	if d.file == nil {
		return nil
	}
	d.stop()
	<-d.ended
	file := d.file
	d.file = nil
	return file.Close()
}
