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
	if err := proc.KillFound(ctx, e.everything); err != nil {
		errs = append(errs, fmt.Errorf("end the services: %w", err))
	}
	errs = append(errs, e.leave(ctx))
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
	e.events.Close()
	return errors.Join(errs...)
}

// everything answers all live processes of the environment.
func (e *Environment) everything() ([]proc.ID, error) {
	all, err := proc.FindMarked(e.marker)
	for _, s := range e.services {
		if s.group == nil || err != nil {
			continue
		}
		var grouped []proc.ID
		grouped, err = members(s.group.memory)
		all = append(all, slices.DeleteFunc(grouped, func(id proc.ID) bool { return slices.Contains(all, id) })...)
	}
	return all, err
}

// leave lets orphans be ended, once.
func (e *Environment) leave(ctx context.Context) error {
	e.mu.Lock()
	entered := e.entered
	e.entered = false
	e.mu.Unlock()
	if !entered {
		return nil
	}
	return e.opts.Orphans.Leave(ctx)
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
		for _, dir := range s.group.dirs {
			errs = append(errs, removeCgroup(ctx, dir))
		}
	}
	return errors.Join(errs...)
}
