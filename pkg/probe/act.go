package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"chaosgate/pkg/plan"
)

// Act carries out an action once. It is an error if an HTTP request is not answered with a status below 400, or a command does not exit with 0.
func Act(ctx context.Context, d Deps, a plan.Action) error {
	switch {
	case a.HTTP != nil:
		return actHTTP(ctx, d, *a.HTTP)
	case a.Exec != nil:
		return actExec(ctx, d, *a.Exec)
	default:
		return errors.New("the action says neither http nor exec")
	}
}

func actHTTP(ctx context.Context, d Deps, h plan.HTTP) error {
	what := fmt.Sprintf("%s %s of %s", h.Method, h.Path, h.Service)
	a, err := exchange(ctx, d, h)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case a.problem != "":
		return fmt.Errorf("%s: %s", what, d.Secrets.Text(a.problem))
	case a.status >= 400:
		return fmt.Errorf("%s answered %d, expected a status below 400%s", what, a.status, d.quote(a.body))
	}
	return nil
}

func actExec(ctx context.Context, d Deps, e plan.Exec) error {
	o := lookExec(ctx, d, plan.Check{Probe: plan.Probe{Exec: &e}}, Window{})
	switch {
	case o.Error != "":
		return errors.New(d.Secrets.Text(o.Error))
	case o.Numbers["exit_code"] != 0:
		return fmt.Errorf("%s exited with %.0f, expected 0%s", e.Command[0], o.Numbers["exit_code"], d.quote(o.Text["stderr"]))
	}
	return nil
}

// quote appends the end of what was said, where the reason mostly stands.
func (d Deps) quote(said string) string {
	const most = 200
	said = strings.TrimSpace(d.Secrets.Text(said))
	if said == "" {
		return ""
	}
	if runes := []rune(said); len(runes) > most {
		said = "..." + string(runes[len(runes)-most:])
	}
	return fmt.Sprintf("; it said %q", said)
}
