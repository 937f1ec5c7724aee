package plan

import (
	"slices"
	"testing"

	"chaosgate/pkg/spec"
)

func TestThePlacesAreTheMapOfTheEnvironment(t *testing.T) {
	b := &builder{site: Site{Environment: spec.Environment{Services: map[string]spec.Service{
		"shop":    {Links: []string{"payment"}, Metrics: "/metrics", Signals: spec.Signals{Inside: `trouble_total{service="shop"}`, Requests: "asked_total"}},
		"payment": {Databases: map[string]string{"b": "b.db", "a": "a.db"}, Signals: spec.Signals{Databases: map[string]spec.Signals{"a": {Latency: "db_seconds"}}}},
	}}}}
	b.plan.Traffic = []Traffic{{Service: "shop"}, {Service: "shop", Path: "/other"}}
	all := b.places()
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	if want := []string{"callers", "payment", "payment/a", "payment/b", "shop"}; !slices.Equal(names, want) {
		t.Fatalf("places %v, want %v", names, want)
	}
	for i, want := range [][]string{{"shop"}, {"payment/a", "payment/b"}, {}, {}, {"payment"}} {
		if !slices.Equal(all[i].Calls, want) || all[i].Calls == nil {
			t.Errorf("%s calls %v, want %v", names[i], all[i].Calls, want)
		}
	}
	want := Signals{Requests: `asked_total{service="shop"}`, Errors: `http_requests_total{status=~"5..",service="shop"}`,
		Latency: `http_request_duration_seconds{service="shop"}`, Inside: `trouble_total{service="shop",service="shop"}`}
	if all[4].Signals != want {
		t.Errorf("signals of the shop: %+v, want %+v", all[4].Signals, want)
	}
	if all[1].Signals != (Signals{}) || all[3].Signals != (Signals{}) {
		t.Error("what exposes no metrics has signals")
	}
	if want := (Signals{Latency: `db_seconds{service="payment"}`}); all[2].Signals != want {
		t.Errorf("signals of the database: %+v, want %+v", all[2].Signals, want)
	}
}
