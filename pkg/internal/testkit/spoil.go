package testkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// maxSpoils bounds what one program does to a journal.
const maxSpoils = 12

// Spoil changes a journal as a program of three bytes a change says: lines are dropped, doubled, moved and cut off, and single values in them changed. Lines are
// numbered anew afterwards, so that the reader's check of the numbers does not hide what comes behind it. The same program always does the same.
func Spoil(t testing.TB, text, program []byte) []byte {
	t.Helper()
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	for n := 0; n < maxSpoils && len(program) >= 3 && len(lines) > 0; n++ {
		lines = spoilLines(t, lines, program[0], int(program[1]), int(program[2]))
		program = program[3:]
	}
	var out bytes.Buffer
	for i, line := range lines {
		out.Write(renumbered(t, line, i+1))
		out.WriteByte('\n')
	}
	return out.Bytes()
}

func spoilLines(t testing.TB, lines [][]byte, how byte, a, b int) [][]byte {
	at, to := a%len(lines), b%len(lines)
	switch how % 16 {
	case 0, 1, 2:
		return slices.Delete(slices.Clone(lines), at, at+1)
	case 3:
		return slices.Insert(slices.Clone(lines), to, lines[at])
	case 4:
		moved := slices.Delete(slices.Clone(lines), at, at+1)
		return slices.Insert(moved, min(to, len(moved)), lines[at])
	case 5:
		return lines[:at+1]
	}
	lines = slices.Clone(lines)
	lines[at] = spoilValue(t, lines[at], b, int(how)/16)
	return lines
}

// spoilValue changes one value of a line: the one that comes after so many others.
func spoilValue(t testing.TB, line []byte, skip, how int) []byte {
	root := decoded(t, line)
	var places []func(any)
	collect(root, func(any) {}, &places, how)
	if len(places) > 0 {
		places[skip%len(places)](nil)
	}
	return encoded(t, root)
}

// collect gathers a function for each value below one that changes it.
func collect(v any, set func(any), places *[]func(any), how int) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			if key == "seq" {
				continue
			}
			collect(v[key], func(n any) { v[key] = n }, places, how)
			if how == 15 {
				*places = append(*places, func(any) { delete(v, key) })
			}
		}
	case []any:
		for i := range v {
			collect(v[i], func(n any) { v[i] = n }, places, how)
		}
	default:
		*places = append(*places, func(any) { set(otherThan(v, how)) })
	}
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// otherThan answers another value of the same type, or none.
func otherThan(v any, how int) any {
	if how == 0 {
		return nil
	}
	switch v := v.(type) {
	case bool:
		return !v
	case json.Number:
		return json.Number([]string{"0", "-1", "1e300", "0.5", "1000000", "-9223372036854775808"}[how%6])
	case string:
		return []string{"", "x", "FAIL", "0s", "failed", v + "0", "1e999"}[how%7]
	}
	return "x"
}

func renumbered(t testing.TB, line []byte, n int) []byte {
	event, ok := decoded(t, line).(map[string]any)
	if !ok {
		t.Fatalf("line %d is no event: %s", n, line)
	}
	event["seq"] = json.Number(fmt.Sprint(n))
	return encoded(t, event)
}

func decoded(t testing.TB, line []byte) any {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func encoded(t testing.TB, v any) []byte {
	line, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return line
}
