package agent

import (
	"context"
	"encoding/json"
	"os"
)

// SelfJob does nothing but tell which process it is.
const SelfJob = "self"

// SelfStatus is what inject and status answer.
type SelfStatus struct {
	PID int `json:"pid"` // in the helper's own process namespace
}

type self struct{}

func newSelf(config json.RawMessage) (job, error) { return self{}, decode(config, &struct{}{}) }

func (self) inject(ctx context.Context) (any, error) { return self{}.status(ctx) }
func (self) status(context.Context) (any, error)     { return SelfStatus{PID: os.Getpid()}, nil }
func (self) revert(context.Context) error            { return nil }
