package main

import (
	"io"
	"reflect"
	"strings"
	"testing"

	"chaosgate/pkg/verdict"
)

func TestParseOutputs(t *testing.T) {
	sys := system{dir: "/home/me"}
	formats := []string{"json", "html"}
	for _, c := range []struct {
		given []string
		want  []output
		err   string
	}{
		{nil, []output{{format: "json"}, {format: "html"}}, ""},
		{[]string{"html"}, []output{{format: "html"}}, ""},
		{[]string{"json=-", "html=out/x.html"}, []output{{"json", "-"}, {"html", "/home/me/out/x.html"}}, ""},
		{[]string{"json=/tmp/a=b"}, []output{{"json", "/tmp/a=b"}}, ""},
		{[]string{"pdf"}, nil, `there is no format "pdf" here, only json, html`},
		{[]string{"json="}, nil, "names no path"},
		{[]string{"json=-", "html=-"}, nil, "both json and html"},
	} {
		got, err := parseOutputs(sys, c.given, formats)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || conclude(io.Discard, err) != verdict.ExitUsage {
				t.Errorf("%v: got %v, want usage error %q", c.given, err, c.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: got %v, %v, want %v", c.given, got, err, c.want)
		}
	}
}
