package diag

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
)

// The part of SARIF 2.1.0 that code hosts read to annotate a pull request.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
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
		Region   *sarifRegion  `json:"region,omitempty"` // nil: the file as a whole
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

// WriteSARIF writes the problems as SARIF 2.1.0. Columns count characters, as everywhere in this package.
func (l List) WriteSARIF(w io.Writer, version string) error {
	driver := sarifDriver{Name: "chaos", Version: version, Rules: []sarifRule{}}
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	known := map[string]bool{}
	for _, p := range l.shown() {
		if !known[p.Rule] {
			known[p.Rule] = true
			driver.Rules = append(driver.Rules, sarifRule{p.Rule})
		}
		run.Results = append(run.Results, p.sarif())
	}
	run.Tool.Driver = driver
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func (p Problem) sarif() sarifResult {
	text := p.Message
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	level := Error
	if p.Severity == Warning {
		level = Warning
	}
	r := sarifResult{RuleID: p.Rule, Level: level, Message: sarifText{text}, Locations: []sarifLocation{}}
	if p.File == "" {
		return r
	}
	at := sarifPhysical{Artifact: sarifArtifact{fileURI(p.File)}}
	if p.Line > 0 {
		col := max(1, p.Col)
		at.Region = &sarifRegion{StartLine: p.Line, StartColumn: col, EndColumn: col + max(1, p.Len)}
	}
	r.Locations = append(r.Locations, sarifLocation{at})
	return r
}

// fileURI is a path as a URI: relative to the checkout if the path is relative.
func fileURI(path string) string {
	u := url.URL{Path: filepath.ToSlash(path)}
	if filepath.IsAbs(path) {
		u.Scheme = "file"
	}
	return u.String()
}
