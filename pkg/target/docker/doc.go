// Package docker is the adapter for services in containers: those of a Compose project that runs already, found by the labels that Compose gives them.
//
// Nothing of the project is started, changed or ended by an environment itself; faults are. What a fault needs near its target is this program in a container of its
// own, from an image that is made of the program's own bytes: no registry is asked. Such a helper ends with its standard input, which ends with the runner.
package docker
