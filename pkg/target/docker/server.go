package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// server finds the container that a database's server runs in. A protected one is not hit through its clients either.
func (e *Environment) server(text string) (target.Database, error) {
	at, problem := spec.ParseServer(text)
	if problem != "" {
		return target.Database{}, errors.New("the URL of a database " + problem)
	}
	all := e.of(at.Host)
	if len(all) != 1 {
		return target.Database{}, fmt.Errorf("a database is on one server, and of %s there are %d containers", at.Host, len(all))
	}
	if all[0].protected {
		return target.Database{}, all[0].refused()
	}
	on := e.refOf(all[0])
	return target.Database{Server: &target.Server{URL: at.URL(), PasswordEnv: e.opts.SecretVariables[at.Secret], On: &on}}, nil
}

// FindServer implements target.ServerFinder: at the port that its container publishes, else in the container's network.
func (e *Environment) FindServer(ctx context.Context, s target.Server) (string, error) {
	return findServer(ctx, e.engine, s)
}

// FindServer implements target.ServerFinder.
func (a *attached) FindServer(ctx context.Context, s target.Server) (at string, err error) {
	err = a.with(func(engine *client.Client, _ reference) error {
		at, err = findServer(ctx, engine, s)
		return err
	})
	return at, err
}

// findServer answers where a server is now. One whose container has ended has ended with all its sessions.
func findServer(ctx context.Context, engine *client.Client, s target.Server) (string, error) {
	if s.On == nil {
		return "", fmt.Errorf("%s is no server of the project", s.URL)
	}
	var r reference
	if err := json.Unmarshal([]byte(s.On.ID), &r); err != nil {
		return "", fmt.Errorf("the id of %s cannot be read: %w", s.On.Instance, err)
	}
	info, err := engine.ContainerInspect(ctx, r.Container)
	switch {
	case cerrdefs.IsNotFound(err):
		return "", fmt.Errorf("%s: %w", s.On.Instance, target.ErrGone)
	case err != nil:
		return "", fmt.Errorf("inspect %s: %w", s.On.Instance, err)
	case !info.State.Running:
		return "", fmt.Errorf("%s does not run: %w", s.On.Instance, target.ErrGone)
	}
	return portOf(info, s, r.Endpoint)
}

func portOf(info container.InspectResponse, s target.Server, endpoint Endpoint) (string, error) {
	at, problem := spec.ParseServer(s.URL)
	if problem != "" {
		return "", errors.New("the URL of a database " + problem)
	}
	own, err := ownAddresses()
	if err != nil {
		return "", err
	}
	i := &instance{name: s.On.Instance, endpoint: endpoint, own: own}
	return i.find(info, nat.Port(at.Port+"/tcp"))
}
