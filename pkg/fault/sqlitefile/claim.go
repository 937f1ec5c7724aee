package sqlitefile

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// claims keep apart what this process does to one file: when a process closes any descriptor of a file, the kernel drops all POSIX locks of the process on it, and
// those are what SQLite's connections hold. So a file's header is not opened while a connection to it is open here. This is a variable of the package
// because those locks are the whole process's.
var claims sync.Map // inode -> *sync.RWMutex

// inode is a file, whatever its names are.
type inode struct{ device, number uint64 }

// share claims a file for a connection, beside others; alone claims it for a look at its header. Both wait until ctx ends; free gives the claim back.
func share(ctx context.Context, info os.FileInfo) (free func(), err error) {
	m := claimOf(info)
	return m.RUnlock, claim(ctx, m.TryRLock)
}

func alone(ctx context.Context, info os.FileInfo) (free func(), err error) {
	m := claimOf(info)
	return m.Unlock, claim(ctx, m.TryLock)
}

func claim(ctx context.Context, try func() bool) error {
	for !try() {
		if err := pause(ctx); err != nil {
			return fmt.Errorf("this program was busy with it: %w", err)
		}
	}
	return nil
}

func claimOf(info os.FileInfo) *sync.RWMutex {
	st := info.Sys().(*syscall.Stat_t) // as package os has it on Linux
	m, _ := claims.LoadOrStore(inode{device: st.Dev, number: st.Ino}, new(sync.RWMutex))
	return m.(*sync.RWMutex)
}
