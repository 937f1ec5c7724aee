package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/imagetest"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// copied makes options of a project of the experiment's own.
func copied(o Options, file string) Options {
	o.Project, o.Copy = CopyName(o.RunID, o.Experiment), &Copy{File: file}
	return o
}

// composeFile writes a Compose file with a service web, whose port, container and volume have names that only one project could have, and a service with a profile.
func composeFile(t *testing.T) string {
	t.Helper()
	dial(t)
	_, err := Stack{}.composer(soon(t))
	imagetest.NeedsDocker(t, err)
	img, err := testImage()
	must(t, err)
	file := filepath.Join(t.TempDir(), "docker-compose.yml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, `services:
  web:
    image: %s
    command: [%s]
    container_name: chaos-test-%[3]d-the-only-one
    environment: {ROLE: web, SECRET: "${SECRET:-none}"}
    ports: ["127.0.0.1:38080:8080"]
    volumes: [data:/data]
  tools: {image: no-such-image, profiles: [debug]}
volumes:
  data: {name: chaos-test-%[3]d-the-only-volume}
`, img, testProgram, os.Getpid()), 0o600))
	return file
}

// parts are what there is of a project.
func parts(t *testing.T, engine *client.Client, project string) []string {
	t.Helper()
	var all []string
	containers, err := engine.ContainerList(soon(t), container.ListOptions{All: true, Filters: byProject(project)})
	must(t, err)
	for _, c := range containers {
		all = append(all, "container "+c.Names[0])
	}
	networks, err := engine.NetworkList(soon(t), network.ListOptions{Filters: byProject(project)})
	must(t, err)
	for _, n := range networks {
		all = append(all, "network "+n.Name)
	}
	volumes, err := engine.VolumeList(soon(t), volume.ListOptions{Filters: byProject(project)})
	must(t, err)
	for _, v := range volumes.Volumes {
		all = append(all, "volume "+v.Name)
	}
	return all
}

// Two experiments have a project each at the same time, of a file that can have only one by itself; each is gone with its experiment, and nothing of the other with it.
func TestEachExperimentHasItsOwnProject(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	file, engine := composeFile(t), dial(t)
	services := map[string]spec.Service{"web": service()}
	var worlds []*world
	for _, experiment := range []string{"one", "one-more"} {
		o := options(experiment, services)
		o.LogDir = t.TempDir()
		w := begin(t, copied(o, file))
		w.opts.Copy.Variables = map[string]map[string]string{"web": {"SECRET": "of " + experiment}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		must(t, w.Up(ctx, w.record))
		t.Cleanup(func() { must(t, RevertEnvironment(context.WithoutCancel(t.Context()), w.undos[0].Data)) })
		worlds = append(worlds, w)
	}
	for n, w := range worlds {
		name := w.opts.Project
		if got := parts(t, engine, name); len(got) != 3 {
			t.Errorf("the project has %v", got)
		}
		if _, err := w.get("web", "/health"); err != nil {
			t.Error(err)
		}
		info, err := w.instances[0].inspect(soon(t))
		must(t, err)
		if want := "SECRET=of " + []string{"one", "one-more"}[n]; !slices.Contains(info.Config.Env, want) {
			t.Errorf("its variables are %v, want %s", info.Config.Env, want)
		}
		hit := w.one("web")
		must(t, w.Kill(soon(t), hit, "SIGKILL"))
		must(t, w.Down(soon(t)))
		if _, err := Attach(hit.Ref, helpers()).(target.Hoster).Host(soon(t), hit, agent.SelfJob, struct{}{}); !errors.Is(err, target.ErrGone) {
			t.Errorf("to enter what is gone with its project: %v", err)
		}
		<-w.read
		if got := parts(t, engine, name); len(got) > 0 {
			t.Errorf("left: %v", got)
		}
		if said := w.said("web-1"); len(said) < 2 || said[0] != target.Started || said[1] != target.Ready || slices.Contains(said[:2], target.Exited) {
			t.Errorf("it said %v", said)
		}
		for log, want := range map[string]string{"web.log": "serving", "compose.log": "web"} {
			if text, err := os.ReadFile(filepath.Join(w.opts.LogDir, log)); err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s: %q, %v, want %q in it", log, text, err, want)
			}
		}
	}
}

// A project that cannot be started is an error that says what Compose said, and leaves nothing.
func TestAProjectThatCannotBeStarted(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	file, engine := composeFile(t), dial(t)
	text, err := os.ReadFile(file)
	must(t, err)
	for name, c := range map[string]struct{ from, to, want string }{
		"the file":   {"services:", "servixes:", "docker-compose.yml"},
		"no image":   {"image: chaosgate/test", "image: chaosgate/no-such-image", "exit code 1:\n"},
		"a folder":   {"data:/data", "/tmp:/data", "cannot be started once for each experiment:\nservice web: it writes to /tmp"},
		"no service": {"  web:", "  other:", "has no container of service web"},
	} {
		t.Run(name, func(t *testing.T) {
			other := filepath.Join(t.TempDir(), "docker-compose.yml")
			must(t, os.WriteFile(other, []byte(strings.Replace(string(text), c.from, c.to, 1)), 0o600))
			o := options("broken", map[string]spec.Service{"web": service()})
			o.LogDir = t.TempDir()
			w := begin(t, copied(o, other))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			wantError(t, w.Up(ctx, w.record), c.want)
			<-w.read
			if got := parts(t, engine, w.opts.Project); len(got) > 0 {
				t.Errorf("left: %v", got)
			}
		})
	}
}

// Whoever is killed while the project is being started leaves what the undo removes: also what Compose goes on with, and what the engine was asked for last.
func TestAKilledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	file, engine := composeFile(t), dial(t)
	self, err := os.Executable()
	must(t, err)
	const most = 2500 * time.Millisecond
	for n := range 3 {
		after := rand.N(most)
		run := fmt.Sprintf("killed%d-%d", n, os.Getpid())
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "ROLE=runner", "PROJECT=own", "RUN="+run, "COPY="+file)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		var undo target.Undo
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &undo) != nil {
			t.Fatalf("the runner says %q", lines.Text())
		}
		time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		must(t, RevertEnvironment(soon(t), undo.Data))
		marked, err := proc.FindMarked(proc.Marker(run + "/own"))
		must(t, err)
		if got := parts(t, engine, CopyName(run, "own")); len(got) > 0 || len(marked) > 0 {
			t.Errorf("killed after %v: left are %v and the processes %v", after, got, marked)
		}
		must(t, RevertEnvironment(soon(t), undo.Data))
	}
}

// The undo removes no project but the experiment's own, whatever its data says.
func TestTheUndoRemovesNoOtherProject(t *testing.T) {
	wantError(t, RevertEnvironment(soon(t), json.RawMessage(`{"id":"run/e","project":"shop"}`)), `is to remove the Compose project "shop", expected "chaos-run-e-`)
}

func TestCopyName(t *testing.T) {
	seen := map[string]bool{}
	for _, experiment := range []string{"web", "web-2", "web[delay=1s]", "web[delay=2s]", "Wéb", strings.Repeat("long-", 30) + "1", strings.Repeat("long-", 30) + "2"} {
		name := CopyName("20260101-000000-abcd", experiment)
		if name != normalize(name) || len(name) > 80 || seen[name] {
			t.Errorf("%s is named %q", experiment, name)
		}
		seen[name] = true
	}
}
