package main

import (
	"fmt"
	"strings"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/target"
)

var durations = map[fault.DurationRule]string{
	fault.DurationOptional: "optional; without it the fault happens once",
	fault.DurationRequired: "required",
	fault.DurationNone:     "none: it happens once",
}

func faultTable(kinds []fault.Kind) string {
	var rows [][]string
	for _, k := range kinds {
		acts := "instances of a service"
		switch {
		case k.Link:
			acts = "links of a service"
		case len(k.Engines) > 0:
			acts = "a database of a service (" + engines(k) + ")"
		}
		rows = append(rows, []string{fmt.Sprintf("[`%s`](#%s)", k.Name, anchor(k.Name)), acts, string(k.Duration)})
	}
	return table([]string{"fault", "acts on", "`duration`"}, rows)
}

func faultTexts(kinds []fault.Kind) string {
	var out strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&out, "### %s\n\n%s\n\n", k.Name, k.Doc)
		fmt.Fprintf(&out, "- `target`: %s\n- `duration`: %s\n- proven by: %s\n- the target must be able to: %s\n\n", targetOf(k), durations[k.Duration], k.Proof, needs(k.Needs))
		if len(k.Params) > 0 {
			out.WriteString(table([]string{"`with`", "type", "default", "range", "meaning"}, paramRows(k.Params)) + "\n")
		}
	}
	return out.String()
}

func targetOf(k fault.Kind) string {
	switch {
	case k.TakesPort():
		return "`service`, and `to` for one link, `port` for one port; without `to` all links from and to the service, with `port` those to it"
	case k.Link:
		return "`service`, and `to` for one link; without `to` all links from and to the service"
	case len(k.Engines) > 0:
		return "`service`, and `database` if the service has several; databases of " + engines(k)
	}
	return "`service`"
}

func engines(k fault.Kind) string {
	names := make([]string, len(k.Engines))
	for i, e := range k.Engines {
		names[i] = string(e)
	}
	return strings.Join(names, ", ")
}

func needs(all []target.Capability) string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = string(c)
	}
	return strings.Join(names, ", ")
}

func paramRows(params []fault.Param) [][]string {
	var rows [][]string
	for _, p := range params {
		otherwise := code(p.Default)
		if p.Required {
			otherwise = "**required**"
		}
		rows = append(rows, []string{code(p.Name), string(p.Type), otherwise, rangeOf(p), p.Doc})
	}
	return rows
}

func rangeOf(p fault.Param) string {
	switch {
	case len(p.Choices) > 0:
		return "`" + strings.Join(p.Choices, "`, `") + "`"
	case p.Min != "" && p.Max != "":
		return "`" + p.Min + "` to `" + p.Max + "`"
	case p.Min != "":
		return "at least `" + p.Min + "`"
	case p.Max != "":
		return "at most `" + p.Max + "`"
	}
	return ""
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// anchor is how GitHub names a heading.
func anchor(heading string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			out.WriteByte('-')
		case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			out.WriteRune(r)
		}
	}
	return out.String()
}
