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

// LinkStatus is what inject and status answer.
type LinkStatus struct {
	On      bool          `json:"on"`
	Problem string        `json:"problem,omitempty"` // why it is not on, though it was put there
	Counts  impair.Counts `json:"counts"`
}

type linkJob struct {
	LinkConfig
	on *impair.Impairment // nil before and after
}

func newLink(config json.RawMessage) (job, error) {
	var c LinkConfig
	if err := decode(config, &c); err != nil {
		return nil, err
	}
	return &linkJob{LinkConfig: c}, impair.Check(c.Link, c.Fault)
}

func (j *linkJob) inject(ctx context.Context) (any, error) {
	if j.on == nil {
		on, err := impair.Start(j.Link, j.Fault)
		if err != nil {
			return nil, err
		}
		j.on = on
	}
	return j.status(ctx)
}

func (j *linkJob) status(context.Context) (any, error) {
	if j.on == nil {
		return LinkStatus{}, nil
	}
	s := LinkStatus{On: true, Counts: j.on.Counts()}
	if err := j.on.On(); err != nil {
		s.On, s.Problem = false, err.Error()
	}
	return s, nil
}

func (j *linkJob) revert(context.Context) error {
	if j.on == nil {
		return nil
	}
	err := j.on.Stop()
	if err == nil {
		j.on = nil
	}
	return err
}
