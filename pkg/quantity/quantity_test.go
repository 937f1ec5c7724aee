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

func FuzzParse(f *testing.F) {
	for _, s := range []string{"300ms", "80%", "256MiB", "50/s", "1MiB/s", "0.5", "1h1m1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text)
		if err == nil && (math.IsNaN(q.Value) || math.IsInf(q.Value, 0) || q.Value < 0) {
			t.Errorf("%q was taken as %v", text, q.Value)
		}
	})
}
