package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/report"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/verdict"
	"chaosgate/schema"
)

// generate answers all parts by name.
func generate(root string) (map[string]string, error) {
	experiment, err := keysOf(schema.Experiment, experimentFormat)
	if err != nil {
		return nil, err
	}
	config, err := keysOf(schema.Config, configFormat)
	if err != nil {
		return nil, err
	}
	events, err := eventTable(filepath.Join(root, "pkg/journal/event.go"))
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"experiment-keys": experiment, "config-keys": config, "events": events, "spec-rules": ruleTable(spec.Rules()),
		"faults": faultTexts(fault.Catalogue()), "fault-table": faultTable(fault.Catalogue()), "probe-table": probeTable(probe.Catalogue()),
		"formats": formatTable(report.Formats()), "exit-codes": exitTable(),
	}, nil
}

// table writes a Markdown table; what would break a cell is escaped.
func table(head []string, rows [][]string) string {
	var out strings.Builder
	line := func(cells []string) {
		for _, c := range cells {
			out.WriteString("| " + strings.ReplaceAll(strings.Join(strings.Fields(c), " "), "|", `\|`) + " ")
		}
		out.WriteString("|\n")
	}
	line(head)
	out.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, r := range rows {
		line(r)
	}
	return out.String()
}

func ruleTable(rules []spec.Rule) string {
	var rows [][]string
	for _, r := range rules {
		rows = append(rows, []string{code(r.ID), r.Doc})
	}
	return table([]string{"rule", "what it asks for"}, rows)
}

func probeTable(kinds []probe.Kind) string {
	var rows [][]string
	for _, k := range kinds {
		rows = append(rows, []string{fmt.Sprintf("[`%s`](#%s)", k.Name, k.Name), k.Doc})
	}
	return table([]string{"probe", "what it does"}, rows)
}

func formatTable(formats []report.Format) string {
	var rows [][]string
	for _, f := range formats {
		rows = append(rows, []string{code(f.Name), code(f.File), f.Doc})
	}
	return table([]string{"format", "file", "what it is"}, rows)
}

func exitTable() string {
	var rows [][]string
	for _, e := range []struct {
		code          int
		gate, meaning string
	}{
		{verdict.ExitOpen, "OPEN", "every required check passed, every fault was proven, every revert verified"},
		{verdict.ExitFail, "CLOSED", "a check failed"},
		{verdict.ExitUsage, "", "wrong usage of the command line"},
		{verdict.ExitInvalid, "", "an invalid experiment or configuration; nothing was touched"},
		{verdict.ExitInconclusive, "CLOSED", "inconclusive: the evidence is missing or too thin"},
		{verdict.ExitError, "CLOSED", "error: the run could not be carried out"},
		{verdict.ExitDirty, "CLOSED", "something is not undone, the environment is dirty; overrides all others"},
		{verdict.ExitHangup, "CLOSED", "interrupted by SIGHUP (the terminal was closed), after rollback"},
		{verdict.ExitInterrupt, "CLOSED", "interrupted by SIGINT (^C), after rollback"},
		{verdict.ExitTerminated, "CLOSED", "interrupted by SIGTERM, after rollback"},
	} {
		rows = append(rows, []string{strconv.Itoa(e.code), e.gate, e.meaning})
	}
	return table([]string{"exit", "gate", "meaning"}, rows)
}

// eventTable reads the journal's event types from their source: the comment behind each says what it carries.
func eventTable(file string) (string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		return "", err
	}
	var rows [][]string
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 || v.Comment == nil {
			return true
		}
		if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != "Type" {
			return true
		}
		if value, ok := v.Values[0].(*ast.BasicLit); ok {
			data, note := event(v.Comment.Text())
			rows = append(rows, []string{code(strings.Trim(value.Value, `"`)), code(data), note})
		}
		return true
	})
	if len(rows) == 0 {
		return "", fmt.Errorf("%s: there are no event types", file)
	}
	return table([]string{"event", "data", "note"}, rows), nil
}

// event splits a comment such as "RunInfo; always the first event". An event without data says nil.
func event(comment string) (data, note string) {
	data = strings.TrimSpace(comment)
	if i := strings.IndexAny(data, ";,"); i >= 0 {
		data, note = data[:i], data[i+1:]
	}
	return strings.TrimPrefix(data, "nil"), note
}
