package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func schemaCommand(sys system) *cobra.Command {
	names := schemaNames()
	return &cobra.Command{
		Use: "schema " + strings.Join(names, "|"), Short: textSchemaShort, Long: textSchemaLong, Example: textSchemaExample,
		Args: oneArgument(textOneSchema), ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			for _, s := range schemas() {
				if s.name == args[0] {
					_, err := sys.stdout.Write(s.text)
					return err
				}
			}
			return usage("", textUnknownSchema, args[0], strings.Join(names, ", "))
		},
	}
}

func schemaNames() []string {
	var names []string
	for _, s := range schemas() {
		names = append(names, s.name)
	}
	return names
}
