package plan

import (
	"fmt"
	"strings"
)

// Mermaid draws the DAG as a Mermaid flowchart, which code hosts show in Markdown. Every text is quoted, so that nothing in it can become syntax.
func (p *Plan) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	number := map[string]int{}
	for i, s := range p.Steps {
		number[s.ID] = i
	}
	for i, s := range p.Steps {
		shape := [2]string{"[", "]"}
		label := quoteMermaid(s.ID)
		switch {
		case s.Fault != nil:
			shape = [2]string{"{{", "}}"}
			label += "<br/>" + quoteMermaid(s.Fault.Kind)
		case s.Check != nil:
			shape = [2]string{"(", ")"}
		}
		fmt.Fprintf(&b, "  s%d%s\"%s\"%s\n", i, shape[0], label, shape[1])
	}
	for i, s := range p.Steps {
		for _, need := range s.Needs {
			fmt.Fprintf(&b, "  s%d --> s%d\n", number[need], i)
		}
		if s.During != "" {
			fmt.Fprintf(&b, "  s%d -. during .-> s%d\n", number[s.During], i)
		}
	}
	return b.String()
}

// mermaid's own entities begin with # and not with &.
var mermaidEntities = strings.NewReplacer("&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "#", "#35;", "\n", " ", "\r", " ", "`", "#96;")

func quoteMermaid(text string) string { return mermaidEntities.Replace(text) }
