package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"chaosgate/pkg/plan"
)

func planCommand(sys system) *cobra.Command {
	var s selection
	var format string
	c := &cobra.Command{
		Use: "plan FILES...", Short: textPlanShort, Long: textPlanLong, Example: textPlanExample, Args: someFiles(sys, "plan"),
		RunE: func(_ *cobra.Command, args []string) error { return showPlans(sys, s, format, args) },
	}
	s.flags(c, textPlanSeedFlag)
	c.Flags().StringVarP(&format, "output", "o", "text", textPlanOutputFlag)
	return c
}

// showPlans prints what a run would do.
func showPlans(sys system, s selection, format string, args []string) error {
	show, ok := map[string]func(io.Writer, []plan.Plan) error{"text": plansAsText, "json": plansAsJSON, "mermaid": plansAsMermaid}[format]
	if !ok {
		return unknownFormat(format, "text", "json", "mermaid")
	}
	in, err := loadInput(sys, s, args)
	if err != nil {
		return err
	}
	if err := in.refuse(sys); err != nil {
		return err
	}
	return show(sys.stdout, in.plans)
}

func plansAsText(out io.Writer, plans []plan.Plan) error {
	for i, p := range plans {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if _, err := fmt.Fprint(out, noCommand(p.String())); err != nil {
			return err
		}
	}
	return nil
}

// plansAsJSON writes a list, also of one.
func plansAsJSON(out io.Writer, plans []plan.Plan) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(plans)
}

// plansAsMermaid writes diagrams one after the other; a page shows one at a time.
func plansAsMermaid(out io.Writer, plans []plan.Plan) error {
	if len(plans) > 1 {
		return usage("", textOnlyOnePlan)
	}
	_, err := fmt.Fprint(out, plans[0].Mermaid())
	return err
}
