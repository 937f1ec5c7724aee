package propagation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
)

func seconds(d plan.Duration) float64 { return time.Duration(d).Seconds() }

// summary is the spread in a sentence or two.
func (s Spread) summary() string {
	text := "It hit " + s.Origin
	if hit := s.in(Hit); len(hit) > 0 && hit[0].said() != "" {
		text += " (" + hit[0].said() + ")"
	}
	var ways []string
	for _, p := range s.Places {
		if p.State == PassedOn || p.State == Absorbed {
			ways = append(ways, fmt.Sprintf("%s (%s)", p.Name, p.said()))
		}
	}
	if len(ways) > 0 {
		text += " and travelled to " + strings.Join(ways, ", then ")
	}
	return text + s.end() + s.aside()
}

func (s Spread) in(state State) []Place {
	return slices.DeleteFunc(slices.Clone(s.Places), func(p Place) bool { return p.State != state })
}

// end says where it ended.
func (s Spread) end() string {
	i := slices.IndexFunc(s.Places, func(p Place) bool { return p.Name == plan.Callers })
	if i < 0 {
		return "."
	}
	callers, absorbed := s.Places[i], s.in(Absorbed)
	switch {
	case callers.State == PassedOn:
		return "."
	case callers.State == NotMeasured:
		return "; what the callers saw was not measured."
	case callers.State == Beside:
		return "; the callers saw it, by a way that the map does not show."
	case callers.Distance < 0:
		return "; no traffic depends on it."
	case len(absorbed) > 0:
		return ", which absorbed it: the callers saw nothing of it."
	default:
		return "; the callers saw nothing of it."
	}
}

// aside names what rose elsewhere.
func (s Spread) aside() string {
	var names []string
	for _, p := range s.in(Beside) {
		names = append(names, fmt.Sprintf("%s (%s)", p.Name, p.said()))
	}
	if len(names) == 0 {
		return ""
	}
	return " Beside the way: " + strings.Join(names, ", ") + "."
}

// said is what rose at a place, each with when and by how much.
func (p Place) said() string {
	var parts []string
	for _, s := range p.Signals {
		if s.Rose {
			parts = append(parts, s.said())
		}
	}
	return strings.Join(parts, ", ")
}

func (s Signal) said() string {
	return fmt.Sprintf("%s %s → %s after %s", s.What(), s.Text(s.Before), s.Text(s.During), quantity.Format(s.FirstSeen, quantity.Time))
}

// What is the signal in words.
func (s Signal) What() string {
	switch s.Name {
	case Slow:
		if s.SlowerThan != nil {
			return "slower than " + quantity.Format(*s.SlowerThan, quantity.Time)
		}
		return "slow"
	case Inside:
		return "errors inside"
	default:
		return s.Name
	}
}

// Text is one of its values; a dash was not measured.
func (s Signal) Text(v *float64) string {
	switch {
	case v == nil:
		return "–"
	case s.Name == Inside:
		return fmt.Sprintf("%.3g/s", *v)
	default:
		return fmt.Sprintf("%.3g %%", 100**v)
	}
}
