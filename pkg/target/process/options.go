package process

import (
	"io"

	"chaosgate/pkg/mask"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// RuntimeName is the adapter's name, in chaos.yaml and in a target.Ref.
const RuntimeName = "process"

// Options says what an environment is made of. Self and Connect are needed for helpers only, Variables for a weakened variant only.
type Options struct {
	RunID      string
	Experiment string
	Spec       spec.Environment
	Root       string            // the project's folder, absolute; the services' working directory
	WorkDir    string            // for the services' data: made by Up, removed by Down; must not exist, its name must start with "chaos-"
	LogDir     string            // kept; one file a service with the output of all its starts
	Binaries   map[string]string // service -> program, of Build
	Self       string            // this program, to run helpers
	// Connect speaks with a helper: agent.NewClient.
	Connect func(stdin io.WriteCloser, stdout io.Reader) target.HelperClient
	Orphans *proc.Orphans // of this program; nil if it takes in none
	// Variables are added to a service's environment or replace its own: service -> name -> value. They are a weakened variant's.
	Variables map[string]map[string]string
	// Revealed are the secrets, by name, that ${secret.NAME} stands for in env. Secrets are taken out of the logs; nil is none.
	Revealed map[string]string
	Secrets  *mask.Set
	// SecretVariables are the environment variables that hold the secrets, by the secrets' names.
	SecretVariables map[string]string
}

// Capabilities is what this target can do, for the plan.
func Capabilities() []target.Capability {
	return []target.Capability{target.CanKill, target.CanStart, target.CanPause, target.CanImpair, target.CanRequests, target.CanAllPeers, target.CanHost, target.CanDatabase, target.CanInspect}
}
