package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"chaosgate/pkg/target"
)

// containers answers the project's containers of the environment's services. A service without any, or what could not be reached, is an error.
func (e *Environment) containers(ctx context.Context) ([]*instance, error) {
	all, err := containersOf(ctx, e.engine, e.opts.Project)
	if err != nil {
		return nil, err
	}
	var found []*instance
	for _, c := range all {
		service := c.Labels[labelService]
		sp, ok := e.opts.Spec.Services[service]
		if !ok {
			continue
		}
		if err := startedFrom(e.opts.Project, e.opts.Folder, c); err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(c.Labels[labelNumber])
		if err != nil {
			return nil, fmt.Errorf("container %.12s of service %s has no number in its labels: %w", c.ID, service, err)
		}
		found = append(found, &instance{service: service, number: n, name: service + "-" + strconv.Itoa(n), id: c.ID, spec: sp, endpoint: e.opts.Endpoint, engine: e.engine, protected: protects(c.Labels[labelProtected]), lastExit: -1, ran: c.State == container.StateRunning || c.State == container.StateRestarting, spared: portsFrom(spared)})
	}
	slices.SortFunc(found, func(a, b *instance) int {
		if by := strings.Compare(a.service, b.service); by != 0 {
			return by
		}
		return a.number - b.number
	})
	for _, name := range slices.Sorted(maps.Keys(e.opts.Spec.Services)) {
		if !slices.ContainsFunc(found, func(i *instance) bool { return i.service == name }) {
			return nil, fmt.Errorf("the Compose project %q has no container of service %s%s", e.opts.Project, name, e.others(ctx, all))
		}
	}
	return found, nil
}

// startedFrom is an error for a container of a project that was started from another folder than the one that is meant; empty is any.
func startedFrom(project, folder string, c container.Summary) error {
	dir := c.Labels[labelFolder]
	if folder == "" || dir == "" || sameFolder(dir, folder) {
		return nil
	}
	return fmt.Errorf("the Compose project %q was started from %s, and not from %s: name the one that is meant with `project` in chaos.yaml", project, dir, folder)
}

// sameFolder says whether two paths are one folder, as far as that can be seen from here.
func sameFolder(a, b string) bool {
	return followed(a) == followed(b)
}

// followed is a path with links followed, as far as that can be seen from here.
func followed(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return filepath.Clean(path)
}

// others says what there is instead of what was not found.
func (e *Environment) others(ctx context.Context, here []container.Summary) string {
	if len(here) > 0 {
		var names []string
		for _, c := range here {
			names = append(names, c.Labels[labelService])
		}
		slices.Sort(names)
		return ", only of " + strings.Join(slices.Compact(names), ", ")
	}
	all, err := e.engine.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelProject))})
	if err != nil || len(all) == 0 {
		return "; no Compose project runs here: start it first, with `chaos env up` or Compose itself"
	}
	var projects []string
	for _, c := range all {
		projects = append(projects, c.Labels[labelProject])
	}
	slices.Sort(projects)
	return "; those that run are " + strings.Join(slices.Compact(projects), ", ") + ": start it, or name one of them with `project` in chaos.yaml"
}

// containersOf lists the containers of a Compose project, stopped ones too, without those of `run`.
func containersOf(ctx context.Context, engine *client.Client, project string) ([]container.Summary, error) {
	all, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+project))})
	if err != nil {
		return nil, fmt.Errorf("list the containers of the Compose project %q: %w", project, err)
	}
	return slices.DeleteFunc(all, func(c container.Summary) bool { return strings.EqualFold(c.Labels[labelOneOff], "true") }), nil
}

// Resolve implements target.Runtime.
func (e *Environment) Resolve(_ context.Context, sel target.Selection) ([]target.Target, error) {
	if len(sel.Services) == 0 {
		return nil, errors.New("nothing is selected: the selection names no service")
	}
	var found []target.Target
	for _, service := range slices.Compact(slices.Sorted(slices.Values(sel.Services))) {
		var names []string
		for _, i := range e.of(service) {
			names = append(names, i.name)
		}
		picked, err := target.Pick(service, names, sel)
		if err != nil {
			return nil, err
		}
		for _, i := range e.of(service) {
			if !slices.Contains(picked, i.name) {
				continue
			}
			found = append(found, target.Target{Ref: e.refOf(i)})
		}
	}
	return found, nil
}

// refOf names an instance so that another process finds it.
func (e *Environment) refOf(i *instance) target.Ref {
	id := reference{Endpoint: e.opts.Endpoint, Container: i.id, Environment: e.id, Ready: i.outlasts(), Within: i.spec.Ready.Within, Own: e.opts.Copy != nil}.String()
	return target.Ref{Runtime: RuntimeName, Service: i.service, Instance: i.name, ID: id}
}

func (e *Environment) of(service string) []*instance {
	var all []*instance
	for _, i := range e.instances {
		if i.service == service {
			all = append(all, i)
		}
	}
	return all
}

// mayHit finds the instance of a target, unless it is protected.
func (e *Environment) mayHit(t target.Target) (*instance, error) {
	i, err := e.instance(t)
	if err == nil && i.protected {
		return nil, i.refused()
	}
	return i, err
}

// Protected implements target.Protector.
func (e *Environment) Protected(t target.Target) error {
	_, err := e.mayHit(t)
	return err
}

func (i *instance) refused() error {
	return fmt.Errorf("%s is protected by its label %s: nothing may hit it", i.name, labelProtected)
}

// protects says whether a label's value protects: whatever does not say no.
func protects(value string) bool { return value != "" && !strings.EqualFold(value, "false") }

func (e *Environment) instance(t target.Target) (*instance, error) {
	var names []string
	for _, i := range e.instances {
		if i.service == t.Service && i.name == t.Instance {
			return i, nil
		}
		names = append(names, i.name)
	}
	return nil, fmt.Errorf("there is no %s of %s here; there are %s", t.Instance, t.Service, strings.Join(names, ", "))
}
