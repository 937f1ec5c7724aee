// Package proc runs child processes that cannot outlive this program, and finds processes again.
//
// Three nets hold a child. It gets SIGKILL when this program dies (pdeathsig). It leads a process group of its own, which is killed as a whole, also
// when the child itself exits and leaves others behind. And what left the group too (a daemon) is found by an environment variable that it inherited:
// see KillMarked, which any other process can call when this one is gone.
//
// A process is named by ID, its pid together with its start time, because the kernel gives pids out again.
package proc
