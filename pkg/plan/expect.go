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
	if len(all) == 2 {
		b.order(pointer+"/max", all[0], all[1])
	}
	add("value", Equals, "equals", x.Equals)
	add("value", MaxIncrease, "maxIncrease", x.MaxIncrease)
	add("value", MaxDecrease, "maxDecrease", x.MaxDecrease)
	add("latency_seconds", Max, "latency", x.Latency)
	add("exit_code", Equals, "exitCode", x.ExitCode)
	add("restarts", Max, "restarts", x.Restarts)
	if len(x.Between) == 2 {
		low := b.limit(pointer+"/between/0", c, "value", Between, x.Between[0])
		high := b.limit(pointer+"/between/1", c, "value", Between, x.Between[1])
		b.order(pointer+"/between", low, high)
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
	ratio := want == quantity.Percent && (op == Min || op == Max || op == Equals || op == Between)
	bareRatio := ratio && q.Unit == quantity.None
	if fixed && q.Unit != want && !bareRatio {
		_, err := quantity.ParseAs(literal, want)
		b.value(pointer, "dimension", "", "%s: %v", from(threshold, override), err)
	}
	if bareRatio {
		e.Unit = quantity.Percent
	}
	if ratio && e.Unit == quantity.Percent {
		b.whole(pointer, from(threshold, override), q)
	}
	return e
}

// whole refuses a limit of a ratio that is more than all: what is compared with it always holds, or never does.
func (b *builder) whole(pointer, what string, q quantity.Quantity) {
	if q.Value <= 1 {
		return
	}
	found, hint := q.Text, ""
	if q.Unit == quantity.None {
		found += ", which is " + quantity.Format(q.Value, quantity.Percent)
	}
	if q.Unit == quantity.None && q.Value <= 100 {
		hint = "did you mean " + q.Text + "%?"
	}
	b.value(pointer, "quantity", hint, "%s: found %s, expected at most 100%%, as a ratio is a part of a whole", what, found)
}

// order refuses limits between which nothing lies. Of those in the file spec has said so; the environment can put others in their place.
func (b *builder) order(pointer string, low, high Expect) {
	if low.Unit == high.Unit && low.Limit > high.Limit {
		b.value(pointer, "value", "", "%s is more than %s in environment %s, so nothing lies between them",
			quantity.Format(low.Limit, low.Unit), quantity.Format(high.Limit, high.Unit), b.site.Name)
	}
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
