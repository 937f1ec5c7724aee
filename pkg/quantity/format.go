package quantity

import (
	"math"
	"strconv"
	"time"
)

// Format writes a value in base units (see Unit) for people: at most four significant digits, in the largest unit that keeps it above 1.
func Format(value float64, unit Unit) string {
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return number(value)
	case unit == Time:
		return formatTime(value)
	case unit == Percent:
		return number(value*100) + "%"
	case unit == Bytes:
		return formatBytes(value)
	case unit == Rate:
		return number(value) + "/s"
	case unit == Flow:
		return formatBytes(value) + "/s"
	default:
		return number(value)
	}
}

// The magnitudes between which a person writes no exponent.
const (
	smallest = 1e-12
	largest  = 1e15
)

func number(v float64) string {
	magnitude := math.Abs(v)
	switch {
	case v == 0:
		return "0" // -0, too
	case magnitude >= 1000 && magnitude < largest && v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	text := strconv.FormatFloat(v, 'g', 4, 64)
	if rounded, err := strconv.ParseFloat(text, 64); err == nil && magnitude >= smallest && magnitude < largest {
		return strconv.FormatFloat(rounded, 'f', -1, 64)
	}
	return text
}

func formatTime(seconds float64) string {
	magnitude := math.Abs(seconds)
	switch {
	case seconds == 0:
		return "0s"
	case magnitude < 1e-3:
		return number(seconds*1e6) + "µs"
	case magnitude < 1:
		return number(seconds*1e3) + "ms"
	case magnitude < 60 || magnitude > math.MaxInt64/float64(time.Second): // more than a Duration holds
		return number(seconds) + "s"
	default:
		return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
	}
}

func formatBytes(v float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for math.Abs(v) >= 1024 && i < len(units)-1 {
		v /= 1024
		i++
	}
	return number(v) + units[i]
}
