package plan

import (
	"reflect"
	"testing"
)

func TestImpossibleLimitsTouchRequiredChecksOfStepsOnly(t *testing.T) {
	p, problems := built(t, site())
	if p == nil {
		t.Fatal(problems)
	}
	p.Steps[1].Check.Required = false // it is shown only
	before := p.String()
	impossible := Impossible(*p)
	if p.String() != before {
		t.Error("the plan itself was changed")
	}
	if !reflect.DeepEqual(impossible.Steady, p.Steady) || !reflect.DeepEqual(impossible.Abort, p.Abort) {
		t.Error("the steady state or the abort conditions were changed: nothing would be injected then")
	}
	changed := 0
	for i, s := range impossible.Steps {
		if s.Check == nil {
			continue
		}
		for k, e := range s.Check.Expect {
			switch {
			case e.Written == "the impossible":
				changed++
			case s.Check.Required:
				t.Errorf("%s keeps %q", s.ID, p.Steps[i].Check.Expect[k].Written)
			}
		}
	}
	if changed < 1 {
		t.Errorf("%d expectations were changed", changed)
	}
}
