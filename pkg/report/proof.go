package report

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"chaosgate/pkg/verdict"
)

// Proof is what the negative controls of `chaos prove` came to.
type Proof struct {
	Results  []ControlResult `json:"results"`
	Unproven []string        `json:"unproven"` // experiments that no weakened variant is declared to close
	Absent   []Absent        `json:"absent"`   // names that a variant is declared to close, of no experiment
}

// Absent is a name under `closes` of a weakened variant that none of the experiments has, which is usual where only some are proven. Hint names the experiment that is
// probably meant: one that is called almost so, and that the variant does not name.
type Absent struct {
	Variant    string `json:"variant"`
	Experiment string `json:"experiment"`
	Hint       string `json:"hint,omitempty"`
}

// ControlResult is one experiment in one control. Closed says whether it closed the gate for the reason that the control is about.
type ControlResult struct {
	Control    string        `json:"control"`
	Experiment string        `json:"experiment"`
	State      verdict.State `json:"state"`
	Closed     bool          `json:"closed"`
	Why        string        `json:"why"`
	Run        string        `json:"run_id"` // its journal and reports are in the folder of this name
}

// Open answers the controls that did not close the gate as they must.
func (p Proof) Open() []ControlResult {
	var open []ControlResult
	for _, c := range p.Results {
		if !c.Closed {
			open = append(open, c)
		}
	}
	return open
}

// Keep writes the proof as proof.json into a folder, whole or not at all, and answers its path.
func (p Proof) Keep(dir string) (string, error) {
	path := filepath.Join(dir, "proof.json")
	err := replace(path, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(struct {
			FormatVersion string `json:"format_version"`
			Proven        bool   `json:"proven"`
			Proof
		}{FormatVersion, len(p.Open()) == 0, Proof{list(p.Results), list(p.Unproven), list(p.Absent)}})
	})
	if err != nil {
		return "", fmt.Errorf("keep the proof: %w", err)
	}
	return path, nil
}
