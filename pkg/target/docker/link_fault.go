package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"chaosgate/pkg/impair"
	"chaosgate/pkg/intercept"
	"chaosgate/pkg/target"
)

// linkFault is a fault on a link: a helper at each end at which packets are met, where they arrive.
type linkFault struct {
	ends    ends
	fault   target.LinkFault
	helpers map[impair.Side]*helper
	begun   bool                   // it was asked to be on the link; links has it
	met     map[impair.Side]status // until it was ended before its time; nil if it was not. links has it
}

// status is what a helper says of its fault.
type status struct {
	On      bool
	Problem string
	// What it has met: packets, or of a fault on HTTP requests those.
	Counts   impair.Counts
	Requests intercept.Counts
}

// faultOf says it in terms of packets.
func faultOf(f target.LinkFault) impair.Fault {
	return impair.Fault{
		Delay: time.Duration(f.Latency), Jitter: time.Duration(f.Jitter), Rate: f.Bandwidth, Drop: f.Partition, Reset: f.Reset,
		Loss: f.Loss, Corrupt: f.Corrupt, Reorder: f.Reorder, Double: f.Duplicate,
	}
}

// release ends the leases of a fault's helpers; their end is seen to by Down.
func (f *linkFault) release() {
	for _, h := range f.helpers {
		h.release()
	}
}

// call sends a command to all helpers and answers what they say.
func (f *linkFault) call(ctx context.Context, command string) (map[impair.Side]status, error) {
	var mu sync.Mutex
	all := map[impair.Side]status{}
	there := slices.Collect(maps.Keys(f.helpers))
	err := together(len(there), func(n int) error {
		side := there[n]
		text, err := f.helpers[side].Call(ctx, command)
		var s status
		if err == nil && string(text) != "null" {
			err = json.Unmarshal(text, &s)
		}
		mu.Lock()
		defer mu.Unlock()
		all[side] = s
		if err != nil {
			err = fmt.Errorf("the helper at the %s: %w", side, f.helpers[side].stderr.with(err))
		}
		return err
	})
	return all, err
}

// missing is an error that says where a fault is not, and why; nil if it is at all ends.
func missing(all map[impair.Side]status) error {
	var errs []error
	for side, s := range all {
		if !s.On {
			errs = append(errs, fmt.Errorf("the fault is not at the %s: %s", side, cmp.Or(s.Problem, "it was not put there")))
		}
	}
	return errors.Join(errs...)
}

func (f *linkFault) revert(ctx context.Context, h *hosts) error {
	if f.takeOff(ctx) == nil {
		f.release()
		return nil
	}
	// What it could not take back itself, or what it could not be told to, ends with it: the kernel takes it off.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	var errs []error
	for _, one := range f.helpers {
		err := one.remove(ctx)
		if err == nil {
			err = h.absent(ctx, one.id)
		}
		errs = append(errs, err)
		one.hang()
		h.drop(one)
	}
	return errors.Join(errs...)
}

// takeOff tells its helpers to take the fault off the link.
func (f *linkFault) takeOff(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	_, err := f.call(ctx, "revert")
	return err
}

// absent waits until a container is no more.
func (h *hosts) absent(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	return poll(ctx, func() (bool, error) {
		_, err := h.engine.ContainerInspect(ctx, id)
		if cerrdefs.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

func (f *linkFault) on(ctx context.Context, h *hosts, now ends) (bool, error) {
	if !f.ends.same(now) {
		return false, nil
	}
	all, err := f.call(ctx, "status")
	if err != nil {
		for _, one := range f.helpers {
			info, gone := h.engine.ContainerInspect(ctx, one.id)
			if cerrdefs.IsNotFound(gone) || gone == nil && !info.State.Running {
				return false, nil
			}
		}
		return false, err
	}
	return missing(all) == nil, nil
}
