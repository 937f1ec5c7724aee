package spec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/quantity"
)

// checker collects the problems that a schema cannot find.
type checker struct {
	e        *Experiment
	problems diag.List
	warnings diag.List
	ids      map[string]string // id -> pointer of the step
	steady   []string
	faults   map[string]*Step
	used     map[string]bool // thresholds that are used
}

func checkExperiment(e *Experiment) diag.List {
	c := &checker{e: e, ids: map[string]string{}, faults: map[string]*Step{}, used: map[string]bool{}}
	c.declare()
	c.head()
	c.each("/steadyState", e.SteadyState, c.steadyCheck)
	c.steadyDecides()
	c.each("/steps", e.Steps, c.step)
	c.each("/abortWhen", e.AbortWhen, c.abort)
	c.graph()
	c.unused()
	c.secrets(e.Doc.root, "", "")
	return append(c.problems, c.warnings...)
}

func (c *checker) each(list string, steps []Step, check func(string, *Step)) {
	for i := range steps {
		check(list+"/"+strconv.Itoa(i), &steps[i])
	}
}

// meant is a suggestion, as long as problems are still kept; among thousands of names there is none.
func (c *checker) meant(found string, choices []string) string {
	const many = 1000
	if len(c.problems) > diag.MaxProblems || len(choices) > many {
		return ""
	}
	return diag.DidYouMean(found, choices)
}

func (c *checker) at(span diag.Span, rule, hint, format string, args ...any) {
	if len(c.problems) > diag.MaxProblems {
		return
	}
	c.problems = append(c.problems, diag.Problem{Span: span, Severity: diag.Error, Rule: rule, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) key(pointer, rule, hint, format string, args ...any) {
	c.at(c.e.Doc.Key(pointer), rule, hint, format, args...)
}

func (c *checker) value(pointer, rule, hint, format string, args ...any) {
	c.at(c.e.Doc.Value(pointer), rule, hint, format, args...)
}

// warn keeps all warnings, of which there are hardly more than keys: none takes the room of an error.
func (c *checker) warn(pointer, rule, format string, args ...any) {
	c.warnings = append(c.warnings, diag.Problem{Span: c.e.Doc.Key(pointer), Severity: diag.Warning, Rule: rule, Message: fmt.Sprintf(format, args...)})
}

// declare learns all ids first, as steps may name ones that come later.
func (c *checker) declare() {
	for list, steps := range map[string][]Step{"/steadyState": c.e.SteadyState, "/steps": c.e.Steps, "/abortWhen": c.e.AbortWhen} {
		for i := range steps {
			c.ids[steps[i].ID] = list + "/" + strconv.Itoa(i)
		}
	}
	seen := map[string]string{}
	for _, list := range []struct {
		pointer string
		steps   []Step
	}{{"/steadyState", c.e.SteadyState}, {"/steps", c.e.Steps}, {"/abortWhen", c.e.AbortWhen}} {
		for i := range list.steps {
			s, pointer := &list.steps[i], list.pointer+"/"+strconv.Itoa(i)
			if first, double := seen[s.ID]; double {
				c.value(pointer+"/id", "duplicate-id", "", "the id %q is taken on line %d", s.ID, c.e.Doc.Value(first+"/id").Line)
			} else {
				seen[s.ID] = pointer
			}
			if list.pointer == "/steadyState" {
				c.steady = append(c.steady, s.ID)
			}
			if s.Fault != "" {
				c.faults[s.ID] = s
			}
		}
	}
}

func (c *checker) head() {
	e := c.e
	c.positive("/timeout", e.Timeout)
	for name, text := range e.Thresholds {
		if _, err := quantity.Parse(text); err != nil {
			c.value("/thresholds/"+Escape(name), "quantity", "", "%v", err)
		}
	}
	for i, t := range e.Traffic {
		p := "/traffic/" + strconv.Itoa(i)
		c.headers(p+"/headers", t.Headers)
		c.quantity(p+"/rate", t.Rate, quantity.Rate)
		c.positive(p+"/timeout", t.Timeout)
	}
	c.positive("/recovery/within", e.Recovery.Within)
	c.positive("/recovery/for", e.Recovery.For)
	c.matrix()
	if len(c.faults) == 0 {
		c.warn("/steps", "no-fault", "no step is a fault, so nothing is injected")
	}
}

// steadyDecides checks that a system which does not work keeps the faults from being injected.
func (c *checker) steadyDecides() {
	decides := func(s Step) bool { return s.Required == nil || *s.Required }
	if len(c.e.SteadyState) > 0 && !slices.ContainsFunc(c.e.SteadyState, decides) {
		c.key("/steadyState", "steady-state", "remove required: false from one of them",
			"no check of the steady state decides, as all have required: false: faults would be injected into a system that does not work")
	}
}

// maxCombinations bounds a matrix: a file that makes hundreds of runs is a mistake.
const maxCombinations = 50

var matrixUse = regexp.MustCompile(`\$\{matrix\.([^}]*)\}`)

func (c *checker) matrix() {
	n := 1
	for _, values := range c.e.Matrix {
		n *= max(1, len(values))
		if n > maxCombinations {
			c.key("/matrix", "matrix", "", "the matrix makes more than %d experiments", maxCombinations)
			return
		}
	}
	c.oneLine()
	c.apart()
	used := map[string]bool{}
	var names []string
	for name := range c.e.Matrix {
		names = append(names, name)
	}
	for _, m := range matrixUse.FindAllStringSubmatchIndex(c.e.Doc.Text, -1) {
		name := c.e.Doc.Text[m[2]:m[3]]
		used[name] = true
		if _, ok := c.e.Matrix[name]; !ok {
			c.at(c.e.Doc.offset(m[0], m[1]), "matrix", c.meant(name, names), "matrix has no %q", name)
		}
	}
	for name := range c.e.Matrix {
		if !used[name] {
			c.warn("/matrix/"+Escape(name), "unused", "%q is not used; write ${matrix.%s}", name, name)
		}
	}
}

// oneLine checks what becomes a part of the experiments' names.
func (c *checker) oneLine() {
	for name, values := range c.e.Matrix {
		for i, v := range values {
			if strings.ContainsFunc(v, unicode.IsControl) {
				c.value("/matrix/"+Escape(name)+"/"+strconv.Itoa(i), "matrix", "", "a value of the matrix is a part of a name, and so one line")
			}
		}
	}
}

// apart checks that no two combinations have one name: by it a run tells its experiments apart, and ends what belongs to one.
func (c *checker) apart() {
	if c.twice() {
		return
	}
	names := slices.Sorted(maps.Keys(c.e.Matrix))
	seen := map[string]bool{}
	for _, combination := range combinations(c.e.Matrix, names) {
		name := combined(c.e.Name, names, combination)
		if seen[name] {
			c.key("/matrix", "matrix", "a value that holds a comma and an equals sign looks like two", "two combinations of the matrix have the same name, %q", name)
			return
		}
		seen[name] = true
	}
}

// twice checks that each value stands once in its list.
func (c *checker) twice() (found bool) {
	for name, values := range c.e.Matrix {
		for i, v := range values {
			if slices.Index(values, v) < i {
				c.value("/matrix/"+Escape(name)+"/"+strconv.Itoa(i), "matrix", "remove it", "the value %q is in %s twice", v, name)
				found = true
			}
		}
	}
	return found
}

// positive checks a duration above zero, if there is one; a "$name" must be a threshold.
func (c *checker) positive(pointer, text string) {
	q, ok := c.quantity(pointer, text, quantity.Time)
	if ok && q.Value <= 0 {
		c.value(pointer, "quantity", "", "%s is %s, expected more than 0s", nameOf(pointer), text)
	}
}

// quantity checks one of a dimension. It answers false where there is none to look at.
func (c *checker) quantity(pointer, text string, unit quantity.Unit) (quantity.Quantity, bool) {
	if text == "" || matrixUse.MatchString(text) {
		return quantity.Quantity{}, false
	}
	literal, ok := c.resolve(pointer, text)
	if !ok {
		return quantity.Quantity{}, false
	}
	q, err := quantity.ParseAs(literal, unit)
	if err != nil {
		c.value(pointer, "quantity", "", "%s: %v", nameOf(pointer), err)
	}
	return q, err == nil
}

// resolve answers what a "$name" stands for.
func (c *checker) resolve(pointer, text string) (string, bool) {
	name, isName := strings.CutPrefix(text, "$")
	if !isName || strings.HasPrefix(name, "{") {
		return text, !isName
	}
	c.used[name] = true
	v, ok := c.e.Thresholds[name]
	if !ok {
		var names []string
		for n := range c.e.Thresholds {
			names = append(names, n)
		}
		c.value(pointer, "unknown-threshold", c.meant(name, names), "there is no threshold %q", name)
	}
	return v, ok
}

func (c *checker) unused() {
	for name := range c.e.Thresholds {
		if !c.used[name] {
			c.warn("/thresholds/"+Escape(name), "unused", "the threshold %q is not used", name)
		}
	}
}
