package process

import (
	"fmt"
	"os"

	"chaosgate/pkg/target"
)

// charge is how services' resources are told apart: in cgroups, or not at all, for a reason.
type charge struct {
	hierarchy hierarchy
	prefix    string
	reason    string // why there are no cgroups; empty if there are
}

const cgroupRoot = "/sys/fs/cgroup"

func findCharge(id string) charge {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return charge{reason: err.Error()}
	}
	h, err := findHierarchy(cgroupRoot, string(own))
	if err != nil {
		return charge{reason: err.Error()}
	}
	return charge{hierarchy: h, prefix: shortID(id) + "-"}
}

// paths are the folders of the cgroup that a service will have.
func (c charge) paths(service string) []string {
	if c.reason != "" {
		return nil
	}
	return c.hierarchy.paths(c.prefix + service)
}

// create makes a service's cgroup; nil where none can be had.
func (c charge) create(service string, limit int64) (*cgroup, error) {
	if c.reason != "" {
		return nil, nil
	}
	return c.hierarchy.create(c.prefix+service, limit)
}

func (c charge) placement(s *service) target.Placement {
	if s.group == nil {
		return target.Placement{Where: fmt.Sprintf("beside the service: no cgroup can be made here (%s)", c.reason)}
	}
	return target.Placement{Cgroup: true, Where: "the service's own cgroup", MemoryLimit: s.group.limit}
}
