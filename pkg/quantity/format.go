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

func number(v float64) string {
	if v == 0 {
		return "0" // -0, too
	}
	if math.Abs(v) >= 1000 && math.Abs(v) < 1e15 && v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
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
	case magnitude < 60:
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
