package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"chaosgate/pkg/proc"
)

// Down implements target.Environment. It is idempotent; the error names what is left. Everything is killed: the data is thrown away, so nobody has
// anything to finish.
func (e *Environment) Down(ctx context.Context) error {
	var errs []error
	for _, h := range e.endHelpers() {
		errs = append(errs, h.kill())
	}
	for _, s := range e.services {
		e.endService(s)
	}
	for _, s := range e.services {
		s.supervisor.Wait()
	}
	if err := proc.KillMarked(ctx, e.marker); err != nil {
		errs = append(errs, fmt.Errorf("end the services: %w", err))
	}
	for _, l := range e.links {
		if err := l.close(); err != nil {
			errs = append(errs, fmt.Errorf("close the link %s -> %s: %w", l.From, l.To, err))
		}
	}
	for _, s := range e.services {
		errs = append(errs, e.clean(ctx, s))
	}
	if e.workDir != "" {
		errs = append(errs, removeWorkDir(e.workDir, e.marker))
	}
	e.events.close()
	return errors.Join(errs...)
}

// endService ends a service for good and waits for its process.
func (e *Environment) endService(s *service) {
	s.change(func(st *state) { st.ending = true })
	now, _ := s.look()
	if now.process != nil {
		_ = now.process.Kill() // one that resists is found by its marker
	}
}

// clean removes what a service had, and verifies that nobody listens on its ports any more.
func (e *Environment) clean(ctx context.Context, s *service) error {
	s.mu.Lock()
	held := s.ports
	s.mu.Unlock()
	errs := []error{held.release()}
	for _, name := range slices.Sorted(maps.Keys(held.numbers)) {
		if port := held.numbers[name]; !refused(port) {
			errs = append(errs, fmt.Errorf("somebody still listens on port %d, which was port %q of %s", port, name, s.name))
		}
	}
	if s.group != nil {
		for _, dir := range s.group.dirs() {
			errs = append(errs, removeCgroup(ctx, dir))
		}
	}
	return errors.Join(errs...)
}
