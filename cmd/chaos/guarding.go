package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"chaosgate/pkg/guard"
	"chaosgate/pkg/journal"
)

// mostGuards is how many guards a run may lose. After that something keeps killing them, and nothing more may be changed.
const mostGuards = 3

// guarding keeps a guard at a run's side: one that has died is replaced at once, and nothing is changed before that. It is safe for concurrent use.
type guarding struct {
	start func() (*guard.Process, error) // starts a guard that will be found again
	died  func() error                   // records that one has died and was replaced

	mu      sync.Mutex
	process *guard.Process
	lost    int
	over    bool  // no guard is needed any more
	err     error // there is no guard, and will be none
}

// watch replaces a guard that dies until the guarding is over. fail is told when that cannot be done.
func (g *guarding) watch(fail func(error)) {
	for {
		process, over := g.current()
		if over {
			return
		}
		<-process.Ended()
		if err := g.ensure(); err != nil {
			fail(err)
			return
		}
	}
}

func (g *guarding) current() (process *guard.Process, over bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.process, g.over
}

// ensure returns when a guard is at work, and is an error if there can be none.
func (g *guarding) ensure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil || g.over || !g.process.HasEnded() {
		return g.err
	}
	g.err = g.replace()
	return g.err
}

func (g *guarding) replace() error {
	if g.lost++; g.lost > mostGuards {
		return fmt.Errorf(textGuardsLost, g.lost)
	}
	process, err := g.start()
	if err != nil {
		return fmt.Errorf(textGuardLost, err)
	}
	g.process = process
	return g.died()
}

// stop ends the replacing and answers the guard at work, which is the caller's to end.
func (g *guarding) stop() *guard.Process {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	return g.process
}

// underWay knows the experiments that are being run, for what concerns all of them. Its observe is a journal.Observer.
type underWay struct {
	mu    sync.Mutex
	names []string
}

func (u *underWay) observe(e journal.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch e.Type {
	case journal.ExperimentStarted:
		u.names = append(u.names, e.Experiment)
	case journal.ExperimentEnded:
		u.names = slices.DeleteFunc(u.names, func(name string) bool { return name == e.Experiment })
	}
}

// all answers the experiments; one without a name, for the run as a whole, if there are none.
func (u *underWay) all() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.names) == 0 {
		return []string{""}
	}
	return slices.Clone(u.names)
}

// guardDied records that a guard has died, in each experiment under way.
func (s *session) guardDied() error {
	var errs []error
	for _, name := range s.underWay.all() {
		f := journal.Finding{Kind: journal.GuardDied, Subject: "guard", Message: textGuardDied, At: time.Now()}
		errs = append(errs, s.journal.Append(journal.Entry{Type: journal.FindingNoted, Experiment: name, Data: f}))
	}
	return errors.Join(errs...)
}
