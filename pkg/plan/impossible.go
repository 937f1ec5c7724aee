package plan

import (
	"math"
	"slices"
)

// Impossible answers the plan with a limit for each required check of a step that nothing can keep. It is a control: a run of it must FAIL, or the check does not look
// at what it says.
func Impossible(p Plan) Plan {
	p.Steps = slices.Clone(p.Steps)
	for i, s := range p.Steps {
		if s.Check == nil || !s.Check.Required {
			continue
		}
		c := *s.Check
		c.Expect = slices.Clone(c.Expect)
		for k := range c.Expect {
			c.Expect[k] = c.Expect[k].impossible()
		}
		p.Steps[i].Check = &c
	}
	return p
}

// farOut is beyond every measured value and still a number that can be written to JSON.
const farOut = math.MaxFloat64 / 4

// Impossible says whether the limit is one that Impossible has set.
func (e Expect) Impossible() bool { return math.Abs(e.Limit) >= farOut }

func (e Expect) impossible() Expect {
	switch e.Op {
	case Min:
		e.Limit = farOut
	case Max, MaxIncrease, MaxDecrease:
		e.Limit = -farOut
	case Between:
		e.Limit, e.High = -farOut, -farOut/2
	case Equals, Class:
		e.Limit = -1 // of a text: Text decides
	}
	if e.Text != "" || e.Op == Contains || e.Op == Matches || e.Op == JSONEquals {
		e.Text = `\A\z<impossible>` // neither a text nor a pattern that any text matches
	}
	e.Written, e.Threshold, e.Override = "the impossible", "", ""
	return e
}
