// Package schema holds the published JSON Schemas (draft 2020-12) of the files people write and of the report that programs read.
package schema

import _ "embed"

// Experiment is the schema of an experiment.
//
//go:embed experiment.schema.json
var Experiment []byte

// Config is the schema of chaos.yaml.
//
//go:embed config.schema.json
var Config []byte

// Report is the schema of report.json.
//
//go:embed report.schema.json
var Report []byte
