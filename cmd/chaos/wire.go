package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"chaosgate/pkg/executor"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/docker"
	"chaosgate/pkg/target/process"
	"chaosgate/schema"
)

// Everything that comes in kinds is listed here, and nowhere else.

func commands(sys system) []*cobra.Command {
	return []*cobra.Command{
		runCommand(sys), proveCommand(sys), validateCommand(sys), planCommand(sys), rollbackCommand(sys), verdictCommand(sys), reportCommand(sys), schemaCommand(sys),
		envCommand(sys), versionCommand(sys), agentCommand(sys), guardCommand(sys),
	}
}

// targetKinds are what an environment can be made of.
func targetKinds() []targetKind {
	return []targetKind{{
		name: process.RuntimeName, can: process.Capabilities(), check: checkProcesses, open: openProcesses,
		undo: process.UndoKind, revert: process.RevertEnvironment, attach: process.Attach,
	}, {
		name: docker.RuntimeName, can: docker.Capabilities(), check: checkContainers, open: openContainers,
		undo: docker.UndoKind, revert: docker.RevertEnvironment, attach: attachContainer, shared: true, stack: composeStack, hold: holdProject,
	}}
}

// revert takes back one undo of a dead run: that of a whole environment, what was announced to a Prometheus server, or a fault's.
func revert(ctx context.Context, u target.Undo) error {
	if u.Kind == discoveryUndo {
		return withdraw(u.Data)
	}
	kind, ok := findTarget(u.Target.Runtime)
	if !ok {
		return fmt.Errorf(textUndoTarget, u.ID, u.Target.Runtime)
	}
	if u.Kind == kind.undo {
		return kind.revert(ctx, u.Data)
	}
	f, ok := fault.Find(u.Kind)
	if !ok {
		return fmt.Errorf(textUndoKind, u.ID, u.Kind)
	}
	return f.Revert(ctx, kind.attach(u.Target), u.Data, u.Target)
}

// parts are what the executor works with.
func (r running) parts(s *session, programs map[string]string) executor.Parts {
	return executor.Parts{
		Run: s.id,
		Open: func(p plan.Plan) (target.Environment, error) {
			return r.input.kind.open(opening{
				run: s.id, logs: filepath.Join(s.dir, logFolder), input: r.input, variant: r.flags.weakened, apart: r.apart(), programs: programs, program: r.sys.program, plan: p, secrets: r.sys.secrets, orphans: s.orphans, getenv: r.sys.env,
			})
		},
		Guarded: s.guards.ensure,
		Load:    startLoad(r.input.vault),
		Measure: r.measuring(s.id, s.progress),
		Fault:   fault.Find,
		Look:    probe.Look,
		Act:     probe.Act,
		Deps:    probe.Deps{Dir: r.input.dir, Secrets: r.sys.secrets, Reveal: r.input.vault.reveal},
	}
}

// namedSchema is a published schema.
type namedSchema struct {
	name string
	text []byte
}

func schemas() []namedSchema {
	return []namedSchema{{"experiment", schema.Experiment}, {"config", schema.Config}, {"report", schema.Report}}
}
