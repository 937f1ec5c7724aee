package agent

import (
	"context"
	"encoding/json"

	"chaosgate/pkg/impair"
)

// LinkJob puts a fault on the packets of a link where they arrive: in the network namespace of the helper.
const LinkJob = "link"

// LinkConfig says which packets, and what becomes of them.
type LinkConfig struct {
	Link  impair.Link  `json:"link"`
	Fault impair.Fault `json:"fault"`
}

// LinkState is what the status of every fault on a link begins with.
type LinkState struct {
	On      bool   `json:"on"`
	Problem string `json:"problem,omitempty"` // why it is not on, though it was put there
}

// LinkStatus is what inject and status answer.
type LinkStatus struct {
	LinkState
	Counts impair.Counts `json:"counts"`
}

func newLink(config json.RawMessage) (job, error) {
	var c LinkConfig
	if err := decode(config, &c); err != nil {
		return nil, err
	}
	begin := func() (*impair.Impairment, error) { return impair.Start(c.Link, c.Fault) }
	status := func(s LinkState, on *impair.Impairment) any { return LinkStatus{LinkState: s, Counts: on.Counts()} }
	return &linkJob[*impair.Impairment]{begin: begin, told: status}, impair.Check(c.Link, c.Fault)
}

// linkFault is a fault that is put on a link and taken off it.
type linkFault interface {
	On() error   // nil if it is on the link
	Stop() error // takes it off, and may be repeated if that fails
}

// linkJob has a fault on a link from inject to revert.
type linkJob[F linkFault] struct {
	begin func() (F, error)
	told  func(LinkState, F) any // its status, with what it has counted
	fault F
	began bool
}

func (j *linkJob[F]) inject(ctx context.Context) (any, error) {
	if !j.began {
		fault, err := j.begin()
		if err != nil {
			return nil, err
		}
		j.fault, j.began = fault, true
	}
	return j.status(ctx)
}

func (j *linkJob[F]) status(context.Context) (any, error) {
	if !j.began {
		return LinkState{}, nil
	}
	s := LinkState{On: true}
	if err := j.fault.On(); err != nil {
		s = LinkState{Problem: err.Error()}
	}
	return j.told(s, j.fault), nil
}

func (j *linkJob[F]) revert(context.Context) error {
	if !j.began {
		return nil
	}
	err := j.fault.Stop()
	j.began = err != nil
	return err
}
