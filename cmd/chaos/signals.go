package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"chaosgate/pkg/executor"
)

// interrupts turns the first signal into a cancelled context, which rolls everything back, and answers the second one on a channel: the user will not wait.
type interrupts struct {
	again chan string
	stop  func()
}

// onInterrupt listens until stop is called. heard is told about the first signal. A pipe that nobody reads any more must not kill a runner that has
// something to roll back, so SIGPIPE is taken and dropped: the write fails instead.
func onInterrupt(cancel context.CancelCauseFunc, heard func(name string)) interrupts {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	in := interrupts{again: make(chan string, 1)}
	ended := make(chan struct{})
	in.stop = func() { signal.Stop(signals); close(ended) }
	go func() {
		first := true
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGPIPE {
					continue
				}
				if !first {
					in.again <- signalName(s)
					return
				}
				first = false
				cancel(executor.Interrupted{Signal: signalName(s)})
				heard(signalName(s))
			case <-ended:
				return
			}
		}
	}()
	return in
}

func signalName(s os.Signal) string {
	switch s {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "SIGHUP"
	default:
		return "SIGINT"
	}
}
