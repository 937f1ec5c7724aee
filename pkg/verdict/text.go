package verdict

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

func judgeText(e plan.Expect, o journal.Observation) Judgement {
	text, ok := o.Text[e.On]
	if !ok {
		return Judgement{State: Inconclusive, Rule: RuleNoData, Reason: fmt.Sprintf("the probe did not see any %s", e.On)}
	}
	ok, err := textHolds(e, text)
	switch {
	case err != nil:
		return Judgement{State: Fail, Rule: RuleLimit, Reason: fmt.Sprintf("%s: %v; expected %s", e.On, err, describe(e))}
	case !ok:
		return Judgement{State: Fail, Rule: RuleLimit, Reason: fmt.Sprintf("%s is %s, expected %s", e.On, quoted(text), describe(e))}
	}
	return Judgement{State: Pass, Rule: RuleLimit, Reason: fmt.Sprintf("%s is as expected: %s", e.On, describe(e))}
}

func textHolds(e plan.Expect, text string) (bool, error) {
	switch e.Op {
	case plan.Contains:
		return strings.Contains(text, e.Text), nil
	case plan.Matches:
		return regexp.MatchString(e.Text, text)
	case plan.JSONEquals:
		found, err := jsonAt(text, e.Path)
		return found == e.Text, err
	default:
		return strings.TrimRight(text, "\n") == e.Text, nil
	}
}

// jsonAt answers the value at a path such as a.b[0].c as text: strings bare, everything else as JSON.
func jsonAt(text, path string) (string, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var at any
	if err := decoder.Decode(&at); err != nil {
		return "", fmt.Errorf("not JSON: %w", err)
	}
	for _, key := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next, ok := child(at, key)
		if !ok {
			return "", fmt.Errorf("the JSON has nothing at %s (missing %q)", path, key)
		}
		at = next
	}
	if s, ok := at.(string); ok {
		return s, nil
	}
	out, err := json.Marshal(at)
	return string(out), err
}

func child(at any, key string) (any, bool) {
	switch at := at.(type) {
	case map[string]any:
		v, ok := at[key]
		return v, ok
	case []any:
		n, err := strconv.Atoi(key)
		if err != nil || n < 0 || n >= len(at) {
			return nil, false
		}
		return at[n], true
	default:
		return nil, false
	}
}

func quoted(text string) string {
	const most = 120
	if runes := []rune(text); len(runes) > most {
		return fmt.Sprintf("%q and %d more characters", string(runes[:most]), len(runes)-most)
	}
	return strconv.Quote(text)
}
