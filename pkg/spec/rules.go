package spec

// Rule is a kind of problem. Its id stands in brackets behind each message.
type Rule struct{ ID, Doc string }

// Rules lists what Load checks, for the documentation.
func Rules() []Rule {
	return []Rule{
		{"read", "The file must be there and readable."},
		{"file-size", "A file has at most 1 MiB: people review it."},
		{"too-many-problems", "Of a file with more than 100 problems the first ones are shown."},
		{"encoding", "A file is UTF-8 text."},
		{"control-character", "No control characters, and none that turn the order of a text: what is approved is what is read."},
		{"line-break", "Lines end with a newline, or a carriage return and a newline; YAML knows others, which editors do not show."},
		{"yaml", "A file is well-formed YAML."},
		{"documents", "One file is one experiment, and chaos.yaml is one document."},
		{"empty", "A file is not empty."},
		{"nesting", "Values are nested at most 100 deep."},
		{"mapping-size", "A mapping has at most 1000 keys."},
		{"key", "Keys are text."},
		{"duplicate-key", "A key stands once in its mapping."},
		{"anchor", "No anchors, aliases and merges: what is approved stands where it is used."},
		{"tag", "No YAML tags."},
		{"schema", "A file fits the published JSON Schema."},
		{"unknown-key", "Every key means something."},
		{"missing-key", "What is needed is there."},
		{"type", "A value has the type that its key asks for."},
		{"value", "A value is one of those that its key takes."},
		{"empty-value", "A list or mapping that decides something is not empty."},
		{"quantity", "A quantity has its unit and is more than nothing where it has to be."},
		{"duplicate-name", "Names of experiments are unique in a run."},
		{"duplicate-id", "Ids are unique in a file."},
		{"unknown-id", "A step that is named exists."},
		{"unknown-threshold", "A $name is one of the thresholds."},
		{"unknown-database", "A database whose signals are named is one of the service's databases."},
		{"unknown-service", "A service that is named in chaos.yaml exists there."},
		{"unused", "*Warning:* a threshold or matrix value that nothing uses is probably a typo elsewhere."},
		{"step-kind", "A step is exactly one thing."},
		{"misplaced-key", "A key goes with the kind of its step."},
		{"during", "Only a fault has a phase that something can be during."},
		{"cycle", "Steps do not wait for each other, and none for itself."},
		{"looking", "When a probe looks is said completely and without contradiction."},
		{"baseline", "A change is compared with a baseline, and a baseline serves a change."},
		{"header", "Headers can be sent as they are written."},
		{"promql", "PromQL parses."},
		{"shifted", "PromQL looks at the time of its check: no offset, and no @."},
		{"regexp", "A regular expression compiles, and has at most 1000 characters."},
		{"matrix", "A matrix makes at most 50 experiments, each with a name of its own, of values that exist."},
		{"secret", "A secret is one of chaos.yaml, and stands only where it is used and never shown."},
		{"steady-state", "At least one check of the steady state is required."},
		{"no-fault", "*Warning:* an experiment without a fault shows nothing."},
	}
}
