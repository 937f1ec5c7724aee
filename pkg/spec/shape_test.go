package spec

import (
	"strings"
	"testing"
)

func TestEveryPatternHasWords(t *testing.T) {
	for name, s := range map[string]shape{"experiment": experimentForm.shape(), "config": configForm.shape()} {
		found := patternsIn(s.written)
		if len(found) == 0 {
			t.Errorf("%s: no pattern was found", name)
		}
		for _, p := range found {
			if patterns[p] == "" {
				t.Errorf("%s: nothing says in words what the pattern %s asks for", name, p)
			}
		}
	}
}

// patternsIn answers the patterns in a part of a schema.
func patternsIn(part any) (all []string) {
	switch part := part.(type) {
	case map[string]any:
		if p, ok := part["pattern"].(string); ok {
			all = append(all, p)
		}
		for _, inner := range part {
			all = append(all, patternsIn(inner)...)
		}
	case []any:
		for _, inner := range part {
			all = append(all, patternsIn(inner)...)
		}
	}
	return all
}

func TestAProjectThatComposeWouldNotTake(t *testing.T) {
	text := "apiVersion: chaos/v1\nenvironments:\n  e: {target: docker, project: My Shop, services: {a: {ports: {http: 1}}}}\n"
	_, problems := ParseConfig("chaos.yaml", []byte(text))
	if len(problems) != 1 || !strings.Contains(problems[0].Message, `project is "My Shop", expected the name of a Compose project: lower-case letters`) {
		t.Errorf("got %v", problems)
	}
}
