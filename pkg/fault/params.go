package fault

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/quantity"
)

// Params are a fault's parameters as text, complete and checked against its Kind by the plan. The getters answer zero for one that was not given and has no
// default; they are for parameters that Kind.CheckParams has let pass, so they report no errors.
type Params map[string]string

// Duration is a parameter of type Duration.
func (p Params) Duration(name string) time.Duration {
	d, _ := quantity.ParseDuration(p[name])
	return d
}

// Bytes is a parameter of type Bytes.
func (p Params) Bytes(name string) int64 {
	n, _ := quantity.ParseBytes(p[name])
	return n
}

// Flow is a parameter of type Rate, in bytes per second.
func (p Params) Flow(name string) int64 {
	n, _ := quantity.ParseFlow(p[name])
	return n
}

// Percent is a parameter of type Percent as a fraction: 80% is 0.8.
func (p Params) Percent(name string) float64 {
	f, _ := quantity.ParsePercent(p[name])
	return f
}

// Int is a parameter of type Integer.
func (p Params) Int(name string) int {
	n, _ := strconv.Atoi(p[name])
	return n
}

// Number is a parameter of type Number.
func (p Params) Number(name string) float64 {
	q, _ := quantity.ParseAs(p[name], quantity.None)
	return q.Value
}

// Text is a parameter of type Text or Path, as it was written.
func (p Params) Text(name string) string { return p[name] }

// ParamProblem is one thing that is wrong with a fault's parameters. Name is the parameter's, so that its place in the file can be found.
type ParamProblem struct {
	Name    string
	Message string // what was found and what is expected
	Hint    string // what to do, may be empty
}

// CheckParams answers the parameters with all defaults filled in, and everything that is wrong with those given, sorted by name.
func (k Kind) CheckParams(with map[string]string) (Params, []ParamProblem) {
	all := Params{}
	var problems []ParamProblem
	for _, name := range slices.Sorted(maps.Keys(with)) {
		if i := slices.IndexFunc(k.Params, func(p Param) bool { return p.Name == name }); i < 0 {
			problems = append(problems, k.unknown(name))
		} else if p := k.Params[i].check(with[name]); p != nil {
			problems = append(problems, *p)
		}
		all[name] = with[name]
	}
	for _, p := range k.Params {
		if _, given := with[p.Name]; given {
			continue
		}
		if p.Required {
			problems = append(problems, ParamProblem{Name: p.Name, Message: fmt.Sprintf("%s needs %s, %s", k.Name, p.Name, article(p.Type)), Hint: p.Doc})
		}
		if p.Default != "" {
			all[p.Name] = p.Default
		}
	}
	if len(problems) == 0 && k.Together != nil {
		problems = k.Together(all)
	}
	slices.SortStableFunc(problems, func(a, b ParamProblem) int { return strings.Compare(a.Name, b.Name) })
	return all, problems
}

// Open answers the parameters that have no value in params, those in whose place another one is given apart: what holds then is their Without.
func (k Kind) Open(params Params) []Param {
	var open []Param
	for _, p := range k.Params {
		if params[p.Name] == "" && params[p.Instead] == "" && p.Without != "" {
			open = append(open, p)
		}
	}
	return open
}

func (k Kind) unknown(name string) ParamProblem {
	names := make([]string, len(k.Params))
	for i, p := range k.Params {
		names[i] = p.Name
	}
	if len(names) == 0 {
		return ParamProblem{Name: name, Message: fmt.Sprintf("%s takes no parameters", k.Name), Hint: "remove " + name}
	}
	hint := diag.DidYouMean(name, names)
	return ParamProblem{Name: name, Message: fmt.Sprintf("%s has no parameter %q; it has %s", k.Name, name, list(names, "and")), Hint: hint}
}

// units are what the types are read as; Integer and Text are no quantities.
var units = map[ParamType]quantity.Unit{Duration: quantity.Time, Bytes: quantity.Bytes, Rate: quantity.Flow, Percent: quantity.Percent, Number: quantity.None}

// examples are how a value of a type looks.
var examples = map[ParamType]string{
	Duration: "300ms", Bytes: "256MiB", Rate: "1MiB/s", Percent: "80%", Integer: "2", Number: "0.5", Path: "/data",
}

func article(t ParamType) string {
	what := map[ParamType]string{
		Duration: "a duration", Bytes: "a size", Rate: "a rate of bytes", Percent: "a percentage", Integer: "a whole number", Number: "a number", Text: "a text", Path: "a path",
	}[t]
	if e := examples[t]; e != "" {
		what += " such as " + e
	}
	return what
}

func (p Param) check(text string) *ParamProblem {
	switch p.Type {
	case Text:
		return p.checkChoice(text)
	case Path:
		return p.checkPath(text)
	}
	value, err := p.read(text)
	if err != nil {
		return &ParamProblem{Name: p.Name, Message: fmt.Sprintf("%s: %v", p.Name, err)}
	}
	if low, err := p.read(p.Min); p.Min != "" && err == nil && value < low {
		return p.outside(text)
	}
	if high, err := p.read(p.Max); p.Max != "" && err == nil && value > high {
		return p.outside(text)
	}
	return nil
}

func (p Param) checkChoice(text string) *ParamProblem {
	if len(p.Choices) == 0 || slices.Contains(p.Choices, text) {
		return nil
	}
	return &ParamProblem{
		Name:    p.Name,
		Message: fmt.Sprintf("%s is %q, expected %s", p.Name, text, list(p.Choices, "or")),
		Hint:    diag.DidYouMean(text, p.Choices),
	}
}

// checkPath wants a path that says by itself which directory is meant.
func (p Param) checkPath(text string) *ParamProblem {
	if path.IsAbs(text) && path.Clean(text) == text {
		return nil
	}
	problem := &ParamProblem{Name: p.Name, Message: fmt.Sprintf("%s is %q, expected that of a directory inside the instance, from / on", p.Name, text)}
	if path.IsAbs(text) {
		problem.Hint = "write it as " + path.Clean(text)
	}
	return problem
}

// read answers a value in the base unit of its type.
func (p Param) read(text string) (float64, error) {
	if p.Type == Integer {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%q is not %s", text, article(Integer))
		}
		return float64(n), nil
	}
	q, err := quantity.ParseAs(text, units[p.Type])
	if err == nil && (p.Type == Bytes || p.Type == Rate) && q.Value > math.MaxInt64/2 { // the getters count in whole bytes
		err = fmt.Errorf("%s is more than any machine has", text)
	}
	return q.Value, err
}

func (p Param) outside(text string) *ParamProblem {
	var expected string
	switch {
	case p.Max == "":
		expected = "at least " + p.Min
	case p.Min == "":
		expected = "at most " + p.Max
	default:
		expected = p.Min + " to " + p.Max
	}
	return &ParamProblem{Name: p.Name, Message: fmt.Sprintf("%s is %s, expected %s", p.Name, text, expected)}
}

// list is "a, b and c".
func list(names []string, last string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " " + last + " " + names[len(names)-1]
}
