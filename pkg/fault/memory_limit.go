package fault

import (
	"fmt"
	"time"

	"chaosgate/pkg/target"
)

// memoryNear is the part of a limit from which on an instance is at it: the kernel takes files from its memory to keep it there.
const memoryNear = 0.9

// newMemoryLimit is memory.limit.
func newMemoryLimit(r Request) (Fault, error) {
	return newLimit(r, float64(r.Params.Bytes("size")), limitEffect{kind: "memory.limit", resource: target.Memory, show: func(n float64) string { return size(int64(n)) }, met: filled})
}

// memoryLimitOnset is how long an engine may take to tell what the kernel counts: it looks once a second.
func memoryLimitOnset(Params) time.Duration { return time.Second }

// filled says whether an instance has met its limit on memory.
func filled(l *limited, s strained) (bool, string, map[string]float64) {
	readings := map[string]float64{
		"limit_bytes": l.amount, "limit_before_bytes": l.was.Amount, "used_bytes": float64(s.Memory), "limit_met": float64(s.MemoryMet), "oom_kills": float64(s.kills),
	}
	switch {
	case s.kills > 0:
		return true, "and the kernel has killed for it", readings
	case s.MemoryMet > 0:
		return true, fmt.Sprintf("and wanted more %s; it uses %s", count(s.MemoryMet, "time"), size(s.Memory)), readings
	case float64(s.Memory) >= memoryNear*l.amount:
		return true, fmt.Sprintf("and uses %s", size(s.Memory)), readings
	}
	return false, fmt.Sprintf("but uses %s only: nobody could have felt the fault", size(s.Memory)), readings
}
