package quantity

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Quantity{
		"300ms": {0.3, Time, ""}, "1h30m": {5400, Time, ""}, "1.5s": {1.5, Time, ""}, "0s": {0, Time, ""},
		"80%": {0.8, Percent, ""}, "0.5%": {0.005, Percent, ""}, "150%": {1.5, Percent, ""},
		"256MiB": {256 << 20, Bytes, ""}, "1.5kB": {1500, Bytes, ""}, "7B": {7, Bytes, ""},
		"50/s": {50, Rate, ""}, "600/m": {10, Rate, ""}, "1MiB/s": {1 << 20, Flow, ""}, "10MB/s": {1e7, Flow, ""},
		"0": {0, None, ""}, "0.99": {0.99, None, ""}, "10": {10, None, ""},
	} {
		got, err := Parse(text)
		if err != nil || math.Abs(got.Value-want.Value) > 1e-9*math.Max(1, want.Value) || got.Unit != want.Unit || got.Text != text {
			t.Errorf("%s: got %+v, %v; want %v %q", text, got, err, want.Value, want.Unit)
		}
	}
	for _, bad := range []string{"", "-1s", "+1s", "1e9", "0x10", "NaN", "Inf", "5 s", "5sec", "%", "/s", "5/d", "MiB", "1_000", "1..2", "99999999999h", "٣s", " 5s"} {
		if q, err := Parse(bad); err == nil {
			t.Errorf("%q was taken as %+v", bad, q)
		}
	}
}

func TestDimensions(t *testing.T) {
	for _, c := range []struct {
		text string
		unit Unit
		says string
	}{
		{"300", Time, `"300" has no unit, expected a duration such as`},
		{"80%", Time, `"80%" is a percentage, expected a duration`},
		{"abc", Bytes, `"abc" is not a size such as 256MiB`},
		{"5s", Rate, "expected a rate such as 50/s"},
	} {
		if _, err := ParseAs(c.text, c.unit); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s as %s: got %v, want it to say %q", c.text, c.unit, err, c.says)
		}
	}
	if d, err := ParseDuration("1.5s"); err != nil || d != 1500*time.Millisecond {
		t.Errorf("1.5s is %v, %v", d, err)
	}
	if n, err := ParseBytes("1KiB"); err != nil || n != 1024 {
		t.Errorf("1KiB is %v, %v", n, err)
	}
	if _, err := ParseBytes("99999999999999TiB"); err == nil {
		t.Error("an endless size was taken")
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		value float64
		unit  Unit
		want  string
	}{
		{0.3123, Time, "312.3ms"}, {1, Time, "1s"}, {90, Time, "1m30s"}, {0.000012, Time, "12µs"}, {0, Time, "0s"},
		{0.004, Percent, "0.4%"}, {256 << 20, Bytes, "256MiB"}, {1536, Flow, "1.5KiB/s"}, {50, Rate, "50/s"},
		{12345, None, "12345"}, {0.25, None, "0.25"}, {math.NaN(), Time, "NaN"}, {math.Inf(1), Bytes, "+Inf"},
	} {
		if got := Format(c.value, c.unit); got != c.want {
			t.Errorf("%v %s: got %s, want %s", c.value, c.unit, got, c.want)
		}
	}
}

// FuzzParse reads anything. What is taken is finite and not negative, nothing but digits and one of the units stands in it, and what it is written as for people reads as
// the same amount: to four digits, and to the second above a minute.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"300ms", "80%", "256MiB", "50/s", "1MiB/s", "0.5", "1h1m1s", "7B", "600/m", "0", "1e9", "9223372036854775807B", "2562047h", ".5s", "5.s", "0.000001%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text)
		checkWholes(t, text)
		if err != nil {
			return
		}
		if math.IsNaN(q.Value) || math.IsInf(q.Value, 0) || q.Value < 0 || q.Text != text {
			t.Fatalf("%q was taken as %+v", text, q)
		}
		if strings.Trim(text, "0123456789.%/hmsuµμnkKMGTiB") != "" {
			t.Errorf("%q was taken", text)
		}
		if q.Value != 0 && (q.Value < 1e-9 || q.Value >= 1e12) {
			return // shown with an exponent, which is not for reading back
		}
		shown := Format(q.Value, q.Unit)
		again, err := Parse(shown)
		if err != nil || again.Unit != q.Unit {
			t.Fatalf("%q is shown as %s, which reads as %+v, %v", text, shown, again, err)
		}
		exact := q.Value * 1e-3
		if q.Unit == Time && q.Value >= 60 {
			exact = 0.5
		}
		if math.Abs(again.Value-q.Value) > exact {
			t.Errorf("%q is %v and is shown as %s, which is %v", text, q.Value, shown, again.Value)
		}
	})
}

// checkWholes reads a text as each kind of whole number: what is answered is never below zero, as it would be behind an overflow.
func checkWholes(t *testing.T, text string) {
	if d, err := ParseDuration(text); err == nil && d < 0 {
		t.Errorf("the duration %q was taken as %v", text, d)
	}
	for _, read := range []func(string) (int64, error){ParseBytes, ParseFlow} {
		if n, err := read(text); err == nil && n < 0 {
			t.Errorf("%q was taken as %d", text, n)
		}
	}
}

// FuzzFormat shows any value: always something, and never an exponent where a person would not write one.
func FuzzFormat(f *testing.F) {
	for _, v := range []float64{0, 1, 12345.6, 0.00001, 59.9999, 999.99e-3, 1e12, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.NaN(), -3} {
		for unit := range uint8(6) {
			f.Add(v, unit)
		}
	}
	units := []Unit{None, Time, Percent, Bytes, Rate, Flow}
	f.Fuzz(func(t *testing.T, v float64, unit uint8) {
		shown := Format(v, units[int(unit)%len(units)])
		magnitude := math.Abs(v)
		if shown == "" || magnitude > 1e-6 && magnitude < 1e12 && strings.ContainsAny(shown, "eE") {
			t.Errorf("%v is shown as %q", v, shown)
		}
	})
}
