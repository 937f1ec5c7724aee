package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"

	"chaosgate/pkg/proc"
)

// CPUJob uses CPU time.
const CPUJob = "cpu"

// slice is one turn of a worker that works for a part of the time.
const slice = 10 * time.Millisecond

// CPUConfig says how much.
type CPUConfig struct {
	Workers int     `json:"workers"` // 0 is one for each CPU
	Load    float64 `json:"load"`    // of each worker: 0 < load <= 1
}

// CPUStatus is what status and inject answer.
type CPUStatus struct {
	Workers    int     `json:"workers"`     // at work now
	CPUSeconds float64 `json:"cpu_seconds"` // used so far, user and system
	// IdleSeconds is how long the machine's processors have been idle since its start, all of them together; waiting for a disk counts as idle.
	IdleSeconds float64 `json:"idle_seconds"`
	CPUs        int     `json:"cpus"`    // processors that the helper may use
	Machine     int     `json:"machine"` // processors of its machine
}

type cpu struct {
	config CPUConfig

	stop    context.CancelFunc // nil while nothing is injected
	workers sync.WaitGroup
	procs   int // GOMAXPROCS before
	cpus    int // that it may use
}

func newCPU(config json.RawMessage) (job, error) {
	c := &cpu{cpus: min(runtime.NumCPU(), runtime.GOMAXPROCS(0))} // fewer than there are, where a limit holds
	if err := decode(config, &c.config); err != nil {
		return nil, err
	}
	if c.config.Workers < 0 || c.config.Workers > 1024 {
		return nil, fmt.Errorf("workers is %d, expected 0 (one for each CPU) to 1024", c.config.Workers)
	}
	if c.config.Load <= 0 || c.config.Load > 1 {
		return nil, fmt.Errorf("load is %v, expected more than 0 and at most 1", c.config.Load)
	}
	if c.config.Workers == 0 {
		c.config.Workers = c.cpus
	}
	return c, nil
}

func (c *cpu) inject(ctx context.Context) (any, error) {
	if c.stop == nil {
		// The workers must not keep this process from hearing that its lease has ended.
		c.procs = runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), c.config.Workers+2))
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		c.stop = stop
		for range c.config.Workers {
			c.workers.Go(func() { work(running, c.config.Load) })
		}
	}
	return c.status(ctx)
}

// work keeps one thread busy for a part of each slice. A slice that was overslept is not made up for.
func work(ctx context.Context, load float64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	busy := time.Duration(load * float64(slice))
	for ctx.Err() == nil {
		began := time.Now()
		for time.Since(began) < busy {
		}
		if rest := slice - time.Since(began); rest > 0 && busy < slice {
			time.Sleep(rest)
		}
	}
}

func (c *cpu) status(context.Context) (any, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return nil, fmt.Errorf("read the CPU time used: %w", err)
	}
	idle, err := proc.Idle()
	if err != nil {
		return nil, err
	}
	machine, err := proc.Processors()
	if err != nil {
		return nil, err
	}
	s := CPUStatus{CPUs: c.cpus, Machine: machine, CPUSeconds: (time.Duration(u.Utime.Nano()) + time.Duration(u.Stime.Nano())).Seconds(), IdleSeconds: idle.Seconds()}
	if c.stop != nil {
		s.Workers = c.config.Workers
	}
	return s, nil
}

func (c *cpu) revert(context.Context) error {
	if c.stop == nil {
		return nil
	}
	c.stop()
	c.workers.Wait()
	c.stop = nil
	runtime.GOMAXPROCS(c.procs)
	return nil
}
