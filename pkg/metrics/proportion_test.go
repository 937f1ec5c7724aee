package metrics

import "testing"

func TestProportionsAreRecognised(t *testing.T) {
	const all = `sum(increase(http_requests_total[5s]))`
	for query, want := range map[string][2]string{
		`sum(rate(http_requests_total{status="500"}[5s])) / sum(rate(http_requests_total[5s]))`:                 {`sum(increase(http_requests_total{status="500"}[5s]))`, all},
		`(sum(increase(errors_total[5s])) / (sum(rate((http_requests_total[5s])))))`:                            {`sum(increase(errors_total[5s]))`, all},
		`sum(rate(x_seconds_bucket{le="0.3"}[5s])) / sum(rate(x_seconds_count[5s]))`:                            {`sum(increase(x_seconds_bucket{le="0.3"}[5s]))`, `sum(increase(x_seconds_count[5s]))`},
		`sum(rate(http_requests_total{status="500"}[5s] offset 1s)) / sum(rate(http_requests_total[5s]))`:       {`sum(increase(http_requests_total{status="500"}[5s] offset 1s))`, all},
		`sum(rate(x_seconds_sum[5s])) / sum(rate(x_seconds_count[5s]))`:                                         {}, // a mean
		`sum(rate(cpu_seconds_total[5s])) / sum(rate(http_requests_total[5s]))`:                                 {},
		`sum(rate(sent_bytes_total[5s])) / sum(rate(http_requests_total[5s]))`:                                  {},
		`sum by (x) (rate(http_requests_total{status="500"}[5s])) / sum by (x) (rate(http_requests_total[5s]))`: {},
		`rate(http_requests_total{status="500"}[5s]) / rate(http_requests_total[5s])`:                           {},
		`sum(rate(a_total[5s])) / 5`:                         {},
		`sum(rate(a_total[5s])) - sum(rate(a_total[5s]))`:    {},
		`sum(rate(a_total[5s])) / avg(rate(a_total[5s]))`:    {},
		`sum(deriv(a_total[5s])) / sum(deriv(a_total[5s]))`:  {},
		`sum(rate({x="y"}[5s])) / sum(rate({x="y"}[5s]))`:    {},
		`sum(rate(a_total[5s:1s])) / sum(rate(a_total[5s]))`: {},
		`up`:   {},
		`sum(`: {},
	} {
		part, total, ok := Proportion(query)
		if ok != (want[0] != "") || ok && (part != want[0] || total != want[1]) {
			t.Errorf("%s: %v, %q of %q, want %q", query, ok, part, total, want)
		}
	}
}
