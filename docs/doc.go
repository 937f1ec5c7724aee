// Package docs is the documentation. Parts of it are made from the code (internal/gen), and its tests keep the rest true: every YAML block is validated, every
// command line is tried, every link leads somewhere.
//
//go:generate go run ./internal/gen ..
package docs
