package docker

import (
	"context"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"chaosgate/pkg/target"
)

// Restore implements target.LinkRestorer: it ends the helpers that a dead runner has left, and what they had on the link ends with them.
func (a *attached) Restore(ctx context.Context, l target.Link, name string) error {
	return a.with(func(engine *client.Client, r reference) error {
		return poll(ctx, func() (bool, error) {
			left, err := helpersOn(ctx, engine, r.Environment, l)
			n := 0
			for _, c := range left {
				if c.Labels[labelFault] != name {
					continue
				}
				n++
				if err := engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}); err != nil && !goes(err) {
					return false, fmt.Errorf("remove the helper %.12s: %w", c.ID, err)
				}
			}
			return n == 0, err
		})
	})
}

// Impaired implements target.LinkRestorer: a fault is taken to be on a link as long as a helper of it is there.
func (a *attached) Impaired(ctx context.Context, l target.Link) (names []string, err error) {
	err = a.with(func(engine *client.Client, r reference) error {
		left, err := helpersOn(ctx, engine, r.Environment, l)
		for _, c := range left {
			names = append(names, c.Labels[labelFault])
		}
		slices.Sort(names)
		names = slices.Compact(names)
		return err
	})
	return names, err
}

func helpersOn(ctx context.Context, engine *client.Client, environment string, l target.Link) ([]container.Summary, error) {
	found, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", labelOurs+"="+mark(environment)), filters.Arg("label", labelLink+"="+l.String()))})
	if err != nil {
		return nil, fmt.Errorf("list the helpers: %w", err)
	}
	return found, nil
}
