package docker

import (
	"chaosgate/pkg/mask"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// RuntimeName is the adapter's name, in chaos.yaml and in a target.Ref.
const RuntimeName = "docker"

// The labels by which containers are found. Compose gives the first five, users the next, we the last.
const (
	labelProject   = "com.docker.compose.project"
	labelService   = "com.docker.compose.service"
	labelNumber    = "com.docker.compose.container-number"
	labelOneOff    = "com.docker.compose.oneoff"
	labelFolder    = "com.docker.compose.project.working_dir"
	labelProtected = "chaos.protected"
	labelOurs      = "chaosgate.environment"
)

// Options says what an environment is made of.
type Options struct {
	RunID      string
	Experiment string
	Endpoint   Endpoint
	Project    string // of Compose
	Folder     string // from which the project must have been started; empty: any
	Copy       *Copy  // nil: the project runs already; else it is the experiment's own, and CopyName has named it
	Spec       spec.Environment
	LogDir     string // kept; one file a service with what its containers wrote meanwhile
	Helpers    Helpers
	Secrets    *mask.Set // taken out of the logs; nil is none
	// SecretVariables are the environment variables that hold the secrets, by the secrets' names.
	SecretVariables map[string]string
}

// Capabilities is what this target can do, for the plan.
func Capabilities() []target.Capability {
	return []target.Capability{
		target.CanKill, target.CanStart, target.CanPause, target.CanInspect, target.CanHost, target.CanDatabase, target.CanImpair, target.CanPackets, target.CanRequests, target.CanAllPeers, target.CanPorts,
		target.CanLimit, target.CanFill, target.CanMount, target.CanScale,
	}
}
