package spec

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/quantity"
)

// kindRow is a row of what a step can be: the key that makes it one, and the keys that go with it.
type kindRow struct {
	key  string
	keys []string
}

var (
	anyStep   = []string{"id", "needs", "during", "when", "timeout", "retry"}
	anyProbe  = []string{"every", "for", "within", "hold", "required", "expect"}
	metricKey = append([]string{"window", "baseline"}, anyProbe...)
	kinds     = []kindRow{
		{"fault", []string{"target", "with", "duration"}},
		{"promql", metricKey}, {"ratio", metricKey}, {"quantile", metricKey},
		{"http", anyProbe}, {"tcp", anyProbe}, {"exec", anyProbe}, {"state", anyProbe},
		{"check", []string{"every", "for", "within", "hold", "required", "window"}},
		{"wait", nil}, {"action", nil},
	}
	// expects lists, for each probe, the keys of expect that fit it.
	number  = []string{"min", "max", "equals", "between", "maxIncrease", "maxDecrease"}
	expects = map[string][]string{
		"promql": number, "ratio": number, "quantile": number, "http": {"status", "body", "latency"}, "tcp": {"connects"},
		"exec": {"exitCode", "stdout"}, "state": {"running", "restarts", "oomKilled"},
	}
)

func kindKeys() []string {
	var all []string
	for _, k := range kinds {
		all = append(all, k.key)
	}
	return all
}

// kindOf finds the one kind of a step, "" if there is none or more than one, which is a problem.
func (c *checker) kindOf(pointer string, allowed []string) string {
	var found []string
	for _, k := range kinds {
		if c.e.Doc.Has(pointer + "/" + k.key) {
			found = append(found, k.key)
		}
	}
	switch {
	case len(found) == 0:
		c.key(pointer, "step-kind", "", "this step does nothing: it needs one of %s", strings.Join(allowed, ", "))
	case len(found) > 1:
		c.key(pointer+"/"+found[1], "step-kind", "split it into steps", "a step is exactly one thing; this one has %s", strings.Join(found, " and "))
	default:
		return found[0]
	}
	return ""
}

func (c *checker) steadyCheck(pointer string, s *Step) {
	probes := kindKeys()[1:8]
	if kind := c.kindOf(pointer, probes); kind != "" {
		c.probe(pointer, kind, s)
	}
}

func (c *checker) abort(pointer string, s *Step) {
	kind := c.kindOf(pointer, []string{"promql", "ratio", "quantile"})
	if kind != "" {
		c.probe(pointer, kind, s)
	}
	c.positive(pointer+"/for", s.For)
	c.positive(pointer+"/every", s.Every)
}

func (c *checker) step(pointer string, s *Step) {
	kind := c.kindOf(pointer, kindKeys())
	c.positive(pointer+"/timeout", s.Timeout)
	if s.Retry != nil {
		c.count(pointer+"/retry/times", s.Retry.Times, 1)
		c.positive(pointer+"/retry/every", s.Retry.Every)
	}
	if kind == "" {
		return
	}
	c.fits(pointer, kind)
	switch kind {
	case "fault":
		c.positive(pointer+"/duration", s.Duration)
		if s.Target == nil {
			c.key(pointer+"/fault", "missing-key", "add target: {service: NAME}", "the fault has no target")
		}
	case "wait":
		c.quantity(pointer+"/wait", s.Wait, quantity.Time)
	case "action":
		c.request(pointer+"/action/http", s.Action.HTTP)
		if (s.Action.HTTP == nil) == (s.Action.Exec == nil) {
			c.key(pointer+"/action", "step-kind", "", "an action is either http or exec")
		}
	case "check":
		if !slices.Contains(c.steady, s.Check) {
			c.value(pointer+"/check", "unknown-id", c.meant(s.Check, c.steady), "%q is not a steady-state check; there are %s", s.Check, strings.Join(c.steady, ", "))
		}
		c.looking(pointer, s)
	default:
		c.probe(pointer, kind, s)
		c.looking(pointer, s)
	}
}

// fits finds keys that do not belong to the kind of the step.
func (c *checker) fits(pointer, kind string) {
	i := slices.IndexFunc(kinds, func(k kindRow) bool { return k.key == kind })
	_, n := c.e.Doc.find(pointer)
	for k := 0; k+1 < len(n.Content); k += 2 {
		key := n.Content[k].Value
		if key != kind && !slices.Contains(anyStep, key) && !slices.Contains(kinds[i].keys, key) {
			c.key(pointer+"/"+key, "misplaced-key", "", "%s does not go with %s", key, kind)
		}
	}
}

// looking checks when a probe looks.
func (c *checker) looking(pointer string, s *Step) {
	c.positive(pointer+"/every", s.Every)
	c.positive(pointer+"/for", s.For)
	c.positive(pointer+"/within", s.Within)
	if s.For != "" && s.Every == "" && s.Within == "" {
		c.key(pointer+"/for", "looking", "add every or within", "for has no meaning for a probe that looks once")
	}
	if s.Hold == "" {
		return
	}
	if s.Every == "" || s.Within != "" {
		c.key(pointer+"/hold", "looking", "", "hold goes with every, and not with within")
	}
	if _, err := ParseHold(s.Hold); err != nil {
		c.value(pointer+"/hold", "quantity", "", "%v", err)
	}
}

// probe checks what is looked at and what is expected.
func (c *checker) probe(pointer, kind string, s *Step) {
	if w := s.Window; w != "" {
		c.positive(pointer+"/window", w)
	}
	switch kind {
	case "promql":
		c.promql(pointer+"/promql", s.Promql)
	case "ratio":
		c.selector(pointer+"/ratio/part", s.Ratio.Part)
		c.selector(pointer+"/ratio/total", s.Ratio.Total)
	case "http":
		c.request(pointer+"/http", s.HTTP)
	case "quantile":
		c.histogram(pointer+"/quantile/of", s.Quantile.Of)
		if q, err := strconv.ParseFloat(s.Quantile.Q, 64); (err != nil || q <= 0 || q >= 1) && !matrixUse.MatchString(s.Quantile.Q) {
			c.value(pointer+"/quantile/q", "quantity", "", "q is %s, expected a number between 0 and 1 such as 0.99", s.Quantile.Q)
		}
	}
	if s.Expect == nil {
		if c.misspelt(pointer, "expect") {
			return // it has been reported as an unknown key
		}
		c.key(pointer+"/"+kind, "missing-key", "add expect, with one of "+strings.Join(expects[kind], ", "), "the probe expects nothing, so it shows nothing")
		return
	}
	c.expect(pointer, kind, s)
}

// misspelt says whether a step has an unknown key that was probably meant to be another.
func (c *checker) misspelt(pointer, key string) bool {
	_, n := c.e.Doc.find(pointer)
	for k := 0; k+1 < len(n.Content); k += 2 {
		found := n.Content[k].Value
		if !slices.Contains(stepKeys(), found) && diag.DidYouMean(found, []string{key}) != "" {
			return true
		}
	}
	return false
}

// stepKeys are all keys that a step can have.
func stepKeys() []string {
	all := slices.Clone(anyStep)
	for _, k := range kinds {
		all = append(append(all, k.key), k.keys...)
	}
	return all
}

func (c *checker) expect(pointer, kind string, s *Step) {
	at, x := pointer+"/expect", s.Expect
	_, n := c.e.Doc.find(at)
	for k := 0; k+1 < len(n.Content); k += 2 {
		if key := n.Content[k].Value; !slices.Contains(expects[kind], key) {
			c.key(at+"/"+key, "misplaced-key", "", "%s does not go with %s, which has %s", key, kind, strings.Join(expects[kind], ", "))
		}
	}
	c.limit(at+"/equals", x.Equals)
	c.between(at+"/max", []string{at + "/min", at + "/max"}, x.Min, x.Max)
	c.between(at+"/between", []string{at + "/between/0", at + "/between/1"}, x.Between...)
	c.quantity(at+"/maxIncrease", x.MaxIncrease, quantity.Percent)
	c.quantity(at+"/maxDecrease", x.MaxDecrease, quantity.Percent)
	if change := x.MaxIncrease != "" || x.MaxDecrease != ""; change != (s.Baseline != "") && kind != "check" {
		c.key(at, "baseline", "", "maxIncrease and maxDecrease go together with baseline: before")
	}
	if x.Status != "" && !statusText.MatchString(x.Status) {
		c.value(at+"/status", "value", "", "status is %q, expected a status such as 200 or a class such as 2xx", x.Status)
	}
	c.quantity(at+"/latency", x.Latency, quantity.Time)
	c.count(at+"/exitCode", x.ExitCode, 0)
	c.count(at+"/restarts", x.Restarts, 0)
	c.body(at+"/body", x.Body)
	c.body(at+"/stdout", x.Stdout)
}

var statusText = regexp.MustCompile(`^([1-5][0-9][0-9]|[1-5]xx|\$\{matrix\..*)$`)

// between checks limits of which the first is the lower one, each at its place, and that something lies between them.
func (c *checker) between(pointer string, places []string, limits ...string) {
	var found []quantity.Quantity
	for i, text := range limits[:min(len(limits), len(places))] {
		if q, ok := c.limit(places[i], text); ok {
			found = append(found, q)
		}
	}
	if len(found) == 2 && found[0].Value > found[1].Value {
		c.value(pointer, "value", "swap them", "%s is more than %s, so nothing lies between them", limits[0], limits[1])
	}
}

// limit checks a limit of any dimension; the plan knows which one fits.
func (c *checker) limit(pointer, text string) (quantity.Quantity, bool) {
	if text == "" || matrixUse.MatchString(text) {
		return quantity.Quantity{}, false
	}
	literal, ok := c.resolve(pointer, text)
	if !ok {
		return quantity.Quantity{}, false
	}
	q, err := quantity.Parse(literal)
	if err != nil {
		c.value(pointer, "quantity", "", "%v", err)
	}
	return q, err == nil
}

func (c *checker) count(pointer, text string, least int) {
	if text == "" || matrixUse.MatchString(text) {
		return
	}
	if n, err := strconv.Atoi(text); err != nil || n < least {
		c.value(pointer, "quantity", "", "%s is %q, expected a whole number, at least %d", nameOf(pointer), text, least)
	}
}

// maxRegexp bounds the time that an expression takes on a long text.
const maxRegexp = 1000

func (c *checker) body(pointer string, b *Body) {
	if b == nil || b.Matches == "" {
		return
	}
	if len(b.Matches) > maxRegexp {
		c.value(pointer+"/matches", "regexp", "", "the expression has %d characters, expected at most %d", len(b.Matches), maxRegexp)
		return
	}
	if _, err := regexp.Compile(b.Matches); err != nil {
		c.value(pointer+"/matches", "regexp", "", "%v", err)
	}
}
