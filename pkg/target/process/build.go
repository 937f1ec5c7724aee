package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/spec"
)

// outputLimit bounds what is kept of the compiler's output.
const outputLimit = 16 << 10

// Build builds the Go packages that an environment's services name, each once, into outDir, and answers the program of each service that has one.
// Root is the project's folder. The error holds what the compiler said.
func Build(ctx context.Context, root string, env spec.Environment, outDir string) (map[string]string, error) {
	programs := map[string]string{} // package -> program
	binaries := map[string]string{} // service -> program
	for _, service := range slices.Sorted(maps.Keys(env.Services)) {
		pkg := env.Services[service].Build
		if pkg == "" {
			continue
		}
		if programs[pkg] == "" {
			programs[pkg] = filepath.Join(outDir, strconv.Itoa(len(programs))+"-"+filepath.Base(pkg))
		}
		binaries[service] = programs[pkg]
	}
	if len(programs) == 0 {
		return binaries, nil
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("the services are built with Go, but there is no go command in PATH: install it from https://go.dev/dl, or give the services a command instead of build (%w)", err)
	}
	return binaries, buildAll(ctx, goTool, root, programs)
}

// buildAll builds side by side: the go command shares its cache, and most of the time is linking.
func buildAll(ctx context.Context, goTool, root string, programs map[string]string) error {
	var all sync.WaitGroup
	pkgs := slices.Sorted(maps.Keys(programs))
	errs := make([]error, len(pkgs))
	for i, pkg := range pkgs {
		all.Go(func() { errs[i] = buildOne(ctx, goTool, root, pkg, programs[pkg]) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func buildOne(ctx context.Context, goTool, root, pkg, program string) error {
	cmd := exec.Command(goTool, "build", "-o", program, pkg)
	cmd.Dir = root
	r, err := proc.Run(ctx, cmd, outputLimit)
	if err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	if r.ExitCode != 0 {
		return fmt.Errorf("build %s: go build ended with exit code %d:\n%s", pkg, r.ExitCode, strings.TrimSpace(r.Stderr+r.Stdout))
	}
	return nil
}
