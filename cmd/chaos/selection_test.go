package main

import "testing"

func TestOnly(t *testing.T) {
	for _, c := range []struct {
		only []string
		name string
		want bool
	}{
		{nil, "anything", true},
		{[]string{"network-*"}, "network-latency", true},
		{[]string{"network-*"}, "service-kill", false},
		{[]string{"network-*", "service-kill"}, "service-kill", true},
		{[]string{"latency"}, "latency[delay=300ms]", true},
		{[]string{"latency[delay=300ms]"}, "latency[delay=300ms]", true},
		{[]string{"latency[delay=300ms]"}, "latency[delay=1s]", false},
	} {
		if got := (selection{only: c.only}).wants(c.name); got != c.want {
			t.Errorf("--only %q, %s: got %v, want %v", c.only, c.name, got, c.want)
		}
	}
}
