package diag

import (
	"encoding/json"
	"io"
)

// The part of SARIF 2.1.0 that code hosts read to annotate a pull request.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID string `json:"id"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     Severity        `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndColumn   int `json:"endColumn"`
	}
)

// WriteSARIF writes the problems as SARIF 2.1.0.
func (l List) WriteSARIF(w io.Writer, version string) error {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "chaos", Version: version, Rules: []sarifRule{}}}, Results: []sarifResult{}}
	known := map[string]bool{}
	for _, p := range l.Sorted() {
		if !known[p.Rule] {
			known[p.Rule] = true
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{p.Rule})
		}
		run.Results = append(run.Results, p.sarif())
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func (p Problem) sarif() sarifResult {
	text := p.Message
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	line, col := max(1, p.Line), max(1, p.Col)
	return sarifResult{RuleID: p.Rule, Level: p.Severity, Message: sarifText{text}, Locations: []sarifLocation{{sarifPhysical{
		sarifArtifact{p.File}, sarifRegion{StartLine: line, StartColumn: col, EndColumn: col + max(1, p.Len)},
	}}}}
}
