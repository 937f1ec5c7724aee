// Package process is the embedded default target: an environment of child processes of this run, with a proxy for each link between them.
//
// Nothing is needed but the services' programs: no root, no container engine, no feature of the kernel. Ports are free ones chosen by the runner, and
// each experiment has an environment and a data folder of its own, so several live side by side.
//
// Each service has a supervisor, one goroutine that starts it, waits for it and applies its restart policy (supervisor.go). What people do to a service
// (kill, hold, stop, pause) changes what the supervisor wants or the process itself, and is then read back from the kernel. Traffic and calls between
// services pass links (link.go), which faults impair; readiness and metrics do not.
//
// Every process carries the environment's marker (package proc). Ending the environment, by Down or by RevertEnvironment in another program, means that
// no process with the marker is left.
package process
