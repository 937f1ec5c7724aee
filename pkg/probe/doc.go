// Package probe looks: it asks a metrics source, a service or a command, and brings back what came as a journal.Observation.
//
// A probe never judges. What a service does wrong (it refuses, resets, hangs, answers 500) is what was seen; only what keeps us from
// looking is an Error, and only evidence that is not there is Missing. There is one file and one row of Catalogue per kind of probe.
package probe
