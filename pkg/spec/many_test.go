package spec

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/diag"
)

// What nobody would write must not cost what nobody can wait for, nor say more than anybody reads.
func TestLargeFilesFullOfProblems(t *testing.T) {
	head := "apiVersion: chaos/v1\nname: x\nsteadyState:\n  - {id: a, http: {service: front, path: /}, expect: {status: 200}}\nsteps:\n"
	lines := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"many keys":      lines("key%d: 1\n", 70_000),
		"unknown keys":   lines("key%d: 1\n", 999),
		"unknown needs":  head + lines("  - {id: s%[1]d, wait: 0s, needs: [t%[1]d]}\n", 20_000),
		"unknown limits": head + lines("  - {id: s%d, wait: $x}\n", 30_000),
		"no kind":        head + lines("  - {id: s%d}\n", 50_000),
		"same ids":       head + strings.Repeat("  - {id: same, wait: 0s}\n", 30_000),
		"same keys":      strings.Repeat("name: x\n", 100_000),
		"bomb":           "a0: &a0 [x,x]\n" + lines("a%[1]d: &a%[1]d [*a0,*a0,*a0,*a0]\n", 20_000),
		"deep":           "a: " + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		"deep block":     deepBlock(1300),
	} {
		began := time.Now()
		e, problems := ParseExperiment(name, []byte(text))
		if e != nil || len(problems) == 0 || len(problems) > diag.MaxProblems+1 {
			t.Errorf("%s: %d problems", name, len(problems))
		}
		t.Logf("%s: %d bytes, %d problems, %v", name, len(text), len(problems), time.Since(began).Round(time.Millisecond))
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.Sys > 400<<20 { // all of them in one process; one alone is well below 200 MB
		t.Errorf("%d MB were taken from the system", m.Sys>>20)
	}
}

// Warnings make nothing invalid, however many they are, and hide no error.
func TestManyWarnings(t *testing.T) {
	least, err := os.ReadFile("testdata/good/least.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(least) + "thresholds:\n"
	for i := range 300 {
		text += fmt.Sprintf("  unused%d: 1s\n", i)
	}
	e, problems := ParseExperiment("x.yaml", []byte(text))
	if e == nil || len(problems) != diag.MaxProblems+1 {
		t.Errorf("got %d problems and the experiment %v", len(problems), e)
	}
	e, problems = ParseExperiment("x.yaml", []byte(text+"title: ${secret.token}\n"))
	if e != nil || !problems.Invalid() {
		t.Errorf("the secret in the title was taken: %v", problems)
	}
}

func deepBlock(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "k:\n")
	}
	return b.String()
}

// A chaos.yaml is not split: all that it says belongs together.
func TestSeveralDocuments(t *testing.T) {
	text := []byte("apiVersion: chaos/v1\n---\napiVersion: chaos/v1\n")
	_, ofConfig := ParseConfig("chaos.yaml", text)
	_, ofExperiment := ParseExperiment("x.yaml", text)
	for want, problems := range map[string]diag.List{"put all environments under one environments key": ofConfig, "one file is one experiment: split it": ofExperiment} {
		if len(problems) != 1 || problems[0].Rule != "documents" || problems[0].Line != 2 || !strings.Contains(problems[0].Hint, want) {
			t.Errorf("got %v, want the hint %q", problems, want)
		}
	}
}
