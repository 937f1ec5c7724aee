package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"chaosgate/pkg/spec"
)

// Stack is a Compose project and its file.
type Stack struct {
	Endpoint Endpoint
	File     string // absolute
	Project  string
	Folder   string // from which it must have been started; empty: any
	Spec     spec.Environment
}

// Up starts the project with Compose and returns when all of its services that chaos.yaml names are ready. What Compose says goes to out.
func (s Stack) Up(ctx context.Context, out io.Writer) error {
	if err := s.compose(ctx, out, "up", "-d"); err != nil {
		return err
	}
	return s.with(ctx, func(e *Environment) error {
		if err := e.reach(ctx); err != nil {
			return err
		}
		return e.ready(ctx)
	})
}

// Down ends the project with Compose, whoever is at work on it: the caller is to have it by Hold. Its volumes are kept, unless more ("--volumes") says otherwise.
func (s Stack) Down(ctx context.Context, out io.Writer, more ...string) error {
	return s.compose(ctx, out, append([]string{"down"}, more...)...)
}

// There says whether the project has any container, of whatever service and state. One that was started from another folder is an error.
func (s Stack) There(ctx context.Context) (there bool, err error) {
	err = s.with(ctx, func(e *Environment) error {
		if e.engine, _, err = s.Endpoint.meet(ctx); err != nil {
			return err
		}
		all, err := containersOf(ctx, e.engine, s.Project)
		there = len(all) > 0
		for _, c := range all {
			if err == nil {
				err = startedFrom(s.Project, s.Folder, c)
			}
		}
		return err
	})
	return there, err
}

// Standing is how one instance of a project fares.
type Standing struct {
	Service, Instance, Container string
	State                        string // "running", "exited", ...
	Problem                      string // why it is not ready; empty if it is
	URL                          string // how it is reached; empty if it is not
	Protected                    bool
}

// Status answers how the instances of the services in chaos.yaml fare.
func (s Stack) Status(ctx context.Context) ([]Standing, error) {
	var all []Standing
	err := s.with(ctx, func(e *Environment) error {
		if err := e.reach(ctx); err != nil {
			return err
		}
		for _, i := range e.instances {
			info, err := i.inspect(ctx)
			if err != nil {
				return err
			}
			one := Standing{Service: i.service, Instance: i.name, Container: i.id[:12], State: info.State.Status, Protected: i.protected}
			err = runs(info)
			if err == nil {
				err = i.place(info)
			}
			if err == nil {
				err = i.readyNow(ctx, info)
			}
			if err != nil {
				one.Problem = err.Error()
			}
			if i.fixed != "" {
				one.URL = "http://" + i.fixed
			} else if at := i.current(); at != "" {
				one.URL = "http://" + at
			}
			all = append(all, one)
		}
		return nil
	})
	return all, err
}

// with calls f with an environment of the project in which nothing is done.
func (s Stack) with(ctx context.Context, f func(*Environment) error) error {
	e := New(Options{Endpoint: s.Endpoint, Project: s.Project, Folder: s.Folder, Spec: s.Spec})
	err := f(e)
	for _, i := range e.instances {
		err = errors.Join(err, i.close())
	}
	e.events.Close()
	return errors.Join(err, e.Close())
}

// composePatience is how long Compose may take to end after it was interrupted.
const composePatience = 20 * time.Second

// compose runs Compose: the docker command's own, or docker-compose.
func (s Stack) compose(ctx context.Context, out io.Writer, args ...string) error {
	command, err := s.composer(ctx)
	if err != nil {
		return err
	}
	command = append(append(command, "-f", s.File, "-p", s.Project), args...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = filepath.Dir(s.File), s.environ()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that it ends what it has begun
	cmd.WaitDelay = composePatience
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	return nil
}

func (s Stack) composer(ctx context.Context) ([]string, error) {
	for _, command := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		cmd := exec.CommandContext(ctx, command[0], append(command[1:], "version")...)
		if cmd.Run() == nil {
			return command, nil
		}
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return nil, errors.New("neither `docker compose` nor `docker-compose` is installed here: start the project by other means, it is found by its labels")
}

// environ tells Compose, of whichever version, which engine is meant.
func (s Stack) environ() []string {
	env := append(os.Environ(), "DOCKER_HOST="+s.Endpoint.Host, "DOCKER_CONTEXT=")
	switch {
	case s.Endpoint.Certs == "":
	case s.Endpoint.Insecure:
		env = append(env, "DOCKER_CERT_PATH="+s.Endpoint.Certs, "DOCKER_TLS=1", "DOCKER_TLS_VERIFY=")
	default:
		env = append(env, "DOCKER_CERT_PATH="+s.Endpoint.Certs, "DOCKER_TLS_VERIFY=1")
	}
	return env
}
