package main

import "chaosgate/pkg/verdict"

// style colours text for a terminal, or leaves it alone.
type style struct{ colours bool }

func (s style) paint(code, text string) string {
	if !s.colours || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string   { return s.paint("1", text) }
func (s style) dim(text string) string    { return s.paint("2", text) }
func (s style) red(text string) string    { return s.paint("31", text) }
func (s style) green(text string) string  { return s.paint("32", text) }
func (s style) yellow(text string) string { return s.paint("33", text) }

// state paints a text as a state's name would be painted.
func (s style) state(state, text string) string {
	switch state {
	case verdict.Pass.String():
		return s.green(text)
	case verdict.Inconclusive.String():
		return s.yellow(text)
	default:
		return s.red(text)
	}
}
