package fault

import (
	"fmt"
	"time"

	"chaosgate/pkg/quantity"
	"chaosgate/pkg/target"
)

// newCPULimit is cpu.limit.
func newCPULimit(r Request) (Fault, error) {
	return newLimit(r, r.Params.Number("cpus"), limitEffect{kind: "cpu.limit", resource: target.CPU, show: processors, met: throttled})
}

// processors is "0.5 CPUs".
func processors(n float64) string {
	if n == 1 {
		return "1 CPU"
	}
	return quantity.Format(n, quantity.None) + " CPUs"
}

// throttled says whether an instance had to wait for its limit on CPU.
func throttled(l *limited, s strained) (bool, string, map[string]float64) {
	waited := time.Duration(s.ThrottledFor)
	readings := map[string]float64{
		"cpus": l.amount, "cpus_before": l.was.Amount, "throttled_periods": float64(s.Throttled), "throttled_ms": milliseconds(waited),
	}
	if s.Throttled <= 0 {
		return false, "but it never had to wait for them: nobody could have felt the fault", readings
	}
	return true, fmt.Sprintf("and has waited for them in %s, for %s in all", count(s.Throttled, "period"), show(waited)), readings
}
