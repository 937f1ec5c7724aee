package main

import (
	"reflect"
	"strings"
	"testing"

	"chaosgate/pkg/report"
	"chaosgate/pkg/spec"
)

// A name under closes that no experiment has leaves one unproven, silently: it is shown, with the one that is probably meant.
func TestNamesThatNoExperimentHas(t *testing.T) {
	weakened := map[string]spec.Weakened{
		"no-fallback": {Closes: []string{"slow-paymet", "slow-shop"}},
		"no-retries":  {Closes: []string{"slow-payment", "slow-paymend", "latency", "elsewhere", "far-away"}},
		"no-timeout":  {},
	}
	got := absent(weakened, []string{"slow-payment", "slow-shop", "latency[delay=1s]", "latency[delay=2s]"})
	want := []report.Absent{
		{Variant: "no-fallback", Experiment: "slow-paymet", Hint: `did you mean "slow-payment"?`},
		{Variant: "no-retries", Experiment: "slow-paymend"}, // the near one is named already
		{Variant: "no-retries", Experiment: "elsewhere"},
		{Variant: "no-retries", Experiment: "far-away"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var out strings.Builder
	(&proof{Proof: report.Proof{Absent: got}}).writeAbsent(&out)
	const said = `
? no-fallback closes slow-paymet, and none of these experiments is called so (did you mean "slow-payment"?)
? no-retries closes slow-paymend, elsewhere, far-away, and none of these experiments is called so
`
	if out.String() != said {
		t.Errorf("got %s\nwant %s", out.String(), said)
	}
}

func TestAllNamesAreThere(t *testing.T) {
	got := absent(map[string]spec.Weakened{"no-fallback": {Closes: []string{"slow-payment"}}}, []string{"slow-payment"})
	var out strings.Builder
	(&proof{Proof: report.Proof{Absent: got}}).writeAbsent(&out)
	if len(got) > 0 || out.String() != "" {
		t.Errorf("got %v, shown as %q", got, out.String())
	}
}
