package fault

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"chaosgate/pkg/target"
)

// calm waits until a round trip shows that the fault is gone. Another fault on the link, or a callee that cannot answer now, is no trace of this one: then the
// link's own word counts.
func (l *onLink) calm(ctx context.Context) (Effect, error) {
	var now target.Answer
	var tripErr error
	var excuse string
	gone, err := until(ctx, calmLimit, func(ctx context.Context) (bool, error) {
		now, tripErr = l.ask(ctx, calmTripMax)
		if l.effect.gone(l.asked, now, tripErr) {
			return true, nil
		}
		var err error
		if excuse, err = l.others(ctx); excuse == "" && err == nil {
			excuse = l.cannotAnswer(ctx)
		}
		return excuse != "", err
	})
	if err != nil {
		return Effect{}, err
	}
	e := Effect{Proven: gone, Readings: map[string]float64{"rtt_before_ms": milliseconds(l.before), "rtt_after_ms": milliseconds(now.Took)}}
	switch {
	case excuse != "":
		e.Summary = fmt.Sprintf("%s: %s is off the link; a round trip shows nothing now, because %s", l.name(), l.effect.held(), excuse)
	case tripErr != nil:
		e.Summary = fmt.Sprintf("%s: after the revert a round trip ended with: %v", l.name(), tripErr)
	default:
		e.Summary = fmt.Sprintf("round trip %s is %s after the revert, %s before the fault", l.name(), show(now.Took), show(l.before))
	}
	return e, nil
}

// others says which other faults are on the link, "" if none is.
func (l *onLink) others(ctx context.Context) (string, error) {
	names, err := l.linker.Impaired(ctx, l.Link)
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == l.id })
	if err != nil || len(names) == 0 {
		return "", err
	}
	return "it is under " + strings.Join(names, " and ") + " as well", nil
}

// cannotAnswer says why no round trip can be made, "" if nothing keeps the ends of the link from it.
func (l *onLink) cannotAnswer(ctx context.Context) string {
	for _, end := range [][2]string{{l.To, l.ToInstance}, {l.From, l.FromInstance}} {
		if why := l.down(ctx, end[0], end[1]); why != "" {
			return why
		}
	}
	return ""
}

// down says why a service, or one instance of it, is not there for a round trip; "" if one of its instances is, or if that is not known.
func (l *onLink) down(ctx context.Context, service, instance string) string {
	inspector, ok := l.runtime.(target.Inspector)
	if !ok || service == target.Outside {
		return ""
	}
	all, err := l.runtime.Resolve(ctx, target.Selection{Services: []string{service}})
	if err != nil {
		return ""
	}
	var why []string
	for _, t := range all {
		if instance != "" && t.Instance != instance {
			continue
		}
		st, err := inspector.Inspect(ctx, t)
		switch {
		case err != nil || st.Ready:
			return ""
		case !st.Running:
			why = append(why, t.Instance+" does not run")
		case st.Paused:
			why = append(why, t.Instance+" is paused")
		default:
			why = append(why, t.Instance+" is not ready")
		}
	}
	return strings.Join(why, " and ")
}
