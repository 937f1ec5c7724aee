package plan

import (
	"strconv"
	"strings"

	"chaosgate/pkg/quantity"
	"chaosgate/pkg/spec"
)

// expect flattens what a probe must show into comparisons, in base units.
func (b *builder) expect(pointer string, c Check, x *spec.Expect) []Expect {
	var all []Expect
	add := func(on string, op Op, key, text string) {
		if text != "" {
			all = append(all, b.limit(pointer+"/"+key, c, on, op, text))
		}
	}
	add("value", Min, "min", x.Min)
	add("value", Max, "max", x.Max)
	add("value", Equals, "equals", x.Equals)
	add("value", MaxIncrease, "maxIncrease", x.MaxIncrease)
	add("value", MaxDecrease, "maxDecrease", x.MaxDecrease)
	add("latency_seconds", Max, "latency", x.Latency)
	add("exit_code", Equals, "exitCode", x.ExitCode)
	add("restarts", Max, "restarts", x.Restarts)
	if len(x.Between) == 2 {
		low := b.limit(pointer+"/between/0", c, "value", Between, x.Between[0])
		high := b.limit(pointer+"/between/1", c, "value", Between, x.Between[1])
		low.High, low.Written = high.Limit, low.Written+" to "+high.Written
		all = append(all, low)
	}
	if x.Status != "" {
		all = append(all, status(x.Status))
	}
	all = append(all, texts("body", x.Body)...)
	all = append(all, texts("stdout", x.Stdout)...)
	for _, fact := range []struct {
		on string
		is *bool
	}{{"connected", x.Connects}, {"running", x.Running}, {"oom_killed", x.OOMKilled}} {
		if fact.is != nil {
			all = append(all, Expect{On: fact.on, Op: Equals, Limit: map[bool]float64{true: 1}[*fact.is], Written: strconv.FormatBool(*fact.is)})
		}
	}
	return all
}

// limit resolves a limit and checks that its dimension is that of what it is compared with.
func (b *builder) limit(pointer string, c Check, on string, op Op, text string) Expect {
	literal, threshold, override := b.literal(text)
	e := Expect{On: on, Op: op, Written: text, Threshold: threshold, Override: override}
	q, err := quantity.Parse(literal)
	if err != nil {
		b.value(pointer, "quantity", "", "%v", err)
		return e
	}
	e.Limit, e.Unit = q.Value, q.Unit
	want, fixed := unit(c)
	switch {
	case op == MaxIncrease || op == MaxDecrease:
		want, fixed = quantity.Percent, true
	case on == "latency_seconds":
		want, fixed = quantity.Time, true
	case on != "value":
		want, fixed = quantity.None, true
	}
	bareRatio := want == quantity.Percent && q.Unit == quantity.None && on == "value" && (op == Min || op == Max || op == Equals || op == Between)
	if fixed && q.Unit != want && !bareRatio {
		_, err := quantity.ParseAs(literal, want)
		b.value(pointer, "dimension", "", "%s: %v", from(threshold, override), err)
	}
	if bareRatio {
		e.Unit = quantity.Percent
	}
	return e
}

func from(threshold, override string) string {
	switch {
	case override != "":
		return "$" + threshold + " of environment " + override
	case threshold != "":
		return "$" + threshold
	default:
		return "limit"
	}
}

func status(text string) Expect {
	if class, ok := strings.CutSuffix(text, "xx"); ok {
		v, _ := strconv.ParseFloat(class, 64)
		return Expect{On: "status", Op: Class, Limit: v, Written: text}
	}
	v, _ := strconv.ParseFloat(text, 64)
	return Expect{On: "status", Op: Equals, Limit: v, Written: text}
}

func texts(on string, body *spec.Body) []Expect {
	var all []Expect
	if body == nil {
		return nil
	}
	if body.Contains != "" {
		all = append(all, Expect{On: on, Op: Contains, Text: body.Contains, Written: "contains " + strconv.Quote(body.Contains)})
	}
	if body.Matches != "" {
		all = append(all, Expect{On: on, Op: Matches, Text: body.Matches, Written: "matches " + strconv.Quote(body.Matches)})
	}
	if body.JSON != nil {
		all = append(all, Expect{On: on, Op: JSONEquals, Path: body.JSON.Path, Text: body.JSON.Equals, Written: body.JSON.Path + " = " + body.JSON.Equals})
	}
	return all
}
