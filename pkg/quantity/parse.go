package quantity

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// size is a unit of bytes.
type size struct {
	suffix string
	bytes  float64
}

var sizes = []size{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// Parse reads a quantity of any dimension: 300ms, 80%, 256MiB, 50/s, 1MiB/s, 0.5. Signs, NaN and infinities are refused.
func Parse(text string) (Quantity, error) {
	q := Quantity{Text: text}
	if text == "" {
		return q, fmt.Errorf("found nothing, expected a quantity such as 300ms, 80%%, 256MiB or 50/s")
	}
	if text[0] < '0' || text[0] > '9' {
		return q, fmt.Errorf("%q is not a quantity such as 300ms, 80%%, 256MiB, 50/s or 0.5", text)
	}
	for _, read := range []func(string) (float64, Unit, bool){percent, perTime, bytes, duration, bare} {
		if v, unit, ok := read(text); ok && !math.IsInf(v, 0) {
			q.Value, q.Unit = v, unit
			return q, nil
		}
	}
	return q, fmt.Errorf("%q is not a quantity such as 300ms, 80%%, 256MiB, 50/s or 0.5", text)
}

func percent(text string) (float64, Unit, bool) {
	head, ok := strings.CutSuffix(text, "%")
	v, err := number64(head)
	return v / 100, Percent, ok && err == nil
}

// perTime reads events or bytes per second, minute or hour.
func perTime(text string) (float64, Unit, bool) {
	head, per, ok := strings.Cut(text, "/")
	span := map[string]float64{"s": 1, "m": 60, "h": 3600}[per]
	if !ok || span == 0 {
		return 0, None, false
	}
	if v, _, ok := bytes(head); ok {
		return v / span, Flow, true
	}
	v, err := number64(head)
	return v / span, Rate, err == nil
}

func bytes(text string) (float64, Unit, bool) {
	for _, s := range sizes {
		if head, ok := strings.CutSuffix(text, s.suffix); ok {
			v, err := number64(head)
			return v * s.bytes, Bytes, err == nil
		}
	}
	return 0, None, false
}

func duration(text string) (float64, Unit, bool) {
	if strings.HasSuffix(text, "0") { // ParseDuration takes a bare 0
		return 0, None, false
	}
	d, err := time.ParseDuration(text)
	return d.Seconds(), Time, err == nil
}

func bare(text string) (float64, Unit, bool) {
	v, err := number64(text)
	return v, None, err == nil
}

// number64 reads a plain decimal number: no signs, exponents, hex or underscores, which no reader expects here.
func number64(text string) (float64, error) {
	if strings.Trim(text, "0123456789.") != "" || text == "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(text, 64)
}

// examples of each dimension, for messages.
var examples = map[Unit]string{
	None: "a bare number such as 3 or 0.5", Time: "a duration such as 300ms, 5s or 2m", Percent: "a percentage such as 80%",
	Bytes: "a size such as 256MiB", Rate: "a rate such as 50/s", Flow: "a rate of bytes such as 1MiB/s",
}

// ParseAs reads a quantity of one dimension; the error says what was found and what is expected.
func ParseAs(text string, unit Unit) (Quantity, error) {
	q, err := Parse(text)
	switch {
	case err != nil:
		return q, fmt.Errorf("%q is not %s", text, examples[unit])
	case q.Unit == unit:
		return q, nil
	case q.Unit == None:
		return q, fmt.Errorf("%q has no unit, expected %s", text, examples[unit])
	default:
		return q, fmt.Errorf("%q is %s, expected %s", text, kind(q.Unit), examples[unit])
	}
}

func kind(u Unit) string {
	return map[Unit]string{Time: "a duration", Percent: "a percentage", Bytes: "a size", Rate: "a rate", Flow: "a rate of bytes", None: "a bare number"}[u]
}

// ParseDuration reads a duration: at most about 292 years, not negative.
func ParseDuration(text string) (time.Duration, error) {
	if _, err := ParseAs(text, Time); err != nil {
		return 0, err
	}
	return time.ParseDuration(text)
}

// ParseBytes reads a size in bytes.
func ParseBytes(text string) (int64, error) { return whole(text, Bytes) }

// ParseFlow reads bytes per second.
func ParseFlow(text string) (int64, error) { return whole(text, Flow) }

func whole(text string, unit Unit) (int64, error) {
	q, err := ParseAs(text, unit)
	if err == nil && q.Value >= math.MaxInt64 {
		err = fmt.Errorf("%q is too large", text)
	}
	if err != nil {
		return 0, err
	}
	return int64(math.Round(q.Value)), nil
}

// ParsePercent reads a percentage as a fraction: 80% is 0.8.
func ParsePercent(text string) (float64, error) { return fraction(text, Percent) }

// ParseRate reads events per second.
func ParseRate(text string) (float64, error) { return fraction(text, Rate) }

func fraction(text string, unit Unit) (float64, error) {
	q, err := ParseAs(text, unit)
	return q.Value, err
}
