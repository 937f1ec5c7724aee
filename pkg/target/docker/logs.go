package docker

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// logsTimeout bounds reading all logs, which may be huge.
const logsTimeout = 10 * time.Second

// keepLogs writes what the containers wrote since Up into the run's logs, one file a service. A log that cannot be had says so itself: the verdict does not hang on it.
func (e *Environment) keepLogs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, logsTimeout)
	defer cancel()
	if err := os.MkdirAll(e.opts.LogDir, 0o755); err != nil {
		return
	}
	for name := range e.opts.Spec.Services {
		f, err := os.Create(filepath.Join(e.opts.LogDir, name+".log"))
		if err != nil {
			continue
		}
		var out io.WriteCloser = f
		if !e.opts.Secrets.Empty() {
			out = e.opts.Secrets.Stream(f)
		}
		for _, i := range e.of(name) {
			_, _ = fmt.Fprintf(out, "=== %s, container %.12s\n", i.name, i.id)
			if err := i.log(ctx, out, container.LogsOptions{Since: e.since.Format(time.RFC3339Nano)}); err != nil {
				_, _ = fmt.Fprintf(out, "the engine does not tell what it wrote: %v\n", err)
			}
		}
		_ = out.Close()
	}
}

// log writes what the container wrote, both streams.
func (i *instance) log(ctx context.Context, out io.Writer, o container.LogsOptions) error {
	info, err := i.inspect(ctx)
	if err != nil {
		return err
	}
	o.ShowStdout, o.ShowStderr = true, true
	logs, err := i.engine.ContainerLogs(ctx, i.id, o)
	if err != nil {
		return err
	}
	defer logs.Close()
	if info.Config.Tty {
		_, err = io.Copy(out, logs)
	} else {
		_, err = stdcopy.StdCopy(out, out, logs)
	}
	return err
}

// tail is what an instance wrote last, for an error.
func (i *instance) tail(ctx context.Context) string {
	var text strings.Builder
	if err := i.log(ctx, &text, container.LogsOptions{Tail: "12"}); err != nil || strings.TrimSpace(text.String()) == "" {
		return "it wrote nothing"
	}
	return "its last output:\n    " + strings.ReplaceAll(strings.TrimSpace(text.String()), "\n", "\n    ")
}
