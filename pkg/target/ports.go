package target

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
)

// Ports are those of this side that connections of one kind come from, one after the other, so that they can be told from others. It is safe for concurrent use.
type Ports struct {
	First, Last uint16 // both included

	mu   sync.Mutex
	next uint16 // how many were taken, modulo how many there are
}

// Try does something from one port after the other, until one is free; it answers what came of that.
func (p *Ports) Try(do func(port int) error) error {
	for range int(p.Last-p.First) + 1 {
		err := do(p.take())
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return err // else an earlier connection of this port is not forgotten yet
		}
	}
	return fmt.Errorf("none of the ports %d to %d is free", p.First, p.Last)
}

func (p *Ports) take() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	port := p.First + p.next
	p.next = (p.next + 1) % (p.Last - p.First + 1)
	return int(port)
}
