package proc

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts every child on one OS thread that never ends. The kernel sends the parent-death signal when the thread that forked ends, not the
// process; on Go's own threads, which come and go, children would be killed at random.
type spawner chan spawn

type spawn struct {
	cmd  *exec.Cmd
	done chan error
}

// theSpawner is one for the program, as the thread is. It is started by the first child.
var theSpawner = sync.OnceValue(func() spawner {
	s := make(spawner)
	go s.serve()
	return s
})

func (s spawner) serve() {
	runtime.LockOSThread() // and never unlocked
	for r := range s {
		r.done <- r.cmd.Start()
	}
}

func (s spawner) start(cmd *exec.Cmd) error {
	r := spawn{cmd: cmd, done: make(chan error, 1)}
	s <- r
	return <-r.done
}
