package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chaosgate/pkg/internal/testkit"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/verdict"
)

// FuzzReports writes every report of a journal in which anything may be wrong: none panics, none fails, and none but those of an open gate says that it is open.
func FuzzReports(f *testing.F) {
	var texts [][]byte
	for i, name := range recorded {
		text, err := os.ReadFile(filepath.Join("testdata", name+".jsonl"))
		if err != nil {
			f.Fatal(err)
		}
		texts = append(texts, text)
		for line := byte(i); line < 90; line += 8 {
			f.Add(byte(i), []byte{22 + 16*(line%14), line, line * 7, 0, line, 0, 4, line, line / 2})
		}
	}
	f.Fuzz(func(t *testing.T, which byte, program []byte) {
		events, err := journal.Read(bytes.NewReader(testkit.Spoil(t, texts[int(which)%len(texts)], program)))
		if err != nil {
			return
		}
		v, err := verdict.Decide(events)
		if err != nil {
			return
		}
		m, err := NewModel(events, v)
		if err != nil {
			return
		}
		for _, format := range Formats() {
			var out strings.Builder
			if err := format.Write(&out, m); err != nil {
				t.Errorf("%s: %v", format.Name, err)
			}
			if v.Gate != verdict.Open && (strings.Contains(out.String(), "GATE OPEN") || strings.Contains(out.String(), `"gate": "OPEN"`)) {
				t.Errorf("%s says that the gate is open", format.Name)
			}
		}
	})
}
