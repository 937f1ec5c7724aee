package docker

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/target"
)

// What engines answer of a container's cgroup, of each version, without what nobody reads here.
const (
	statsV1 = `{"cpu_stats":{"cpu_usage":{"total_usage":154063905,"percpu_usage":[80063905,74000000]},"online_cpus":2,
		"throttling_data":{"periods":81,"throttled_periods":40,"throttled_time":2500000000}},
		"memory_stats":{"usage":52428800,"max_usage":67108864,"failcnt":17,"limit":67108864,
		"stats":{"active_file":4096,"inactive_file":0,"total_active_file":4096,"total_inactive_file":12582912,"rss":33554432,"total_rss":33554432}}}`
	statsV2 = `{"cpu_stats":{"cpu_usage":{"total_usage":154063905},"online_cpus":2,
		"throttling_data":{"periods":81,"throttled_periods":40,"throttled_time":2500000000}},
		"memory_stats":{"usage":52428800,"limit":67108864,
		"stats":{"active_file":4096,"anon":33554432,"file":12587008,"inactive_file":12582912,"pgfault":9000,"slab":100000}}}`
)

func TestStatsOfBothVersionsOfCgroups(t *testing.T) {
	for text, met := range map[string]int64{statsV1: 17, statsV2: 0} {
		var s container.StatsResponse
		must(t, json.Unmarshal([]byte(text), &s))
		want := target.Strain{Throttled: 40, ThrottledFor: target.Duration(2500 * time.Millisecond), Memory: 50 << 20, MemoryMet: met}
		if got := strainOf(s); got != want {
			t.Errorf("%.20s: got %+v, want %+v", text, got, want)
		}
		if got := needed(s.MemoryStats); got != 38<<20 {
			t.Errorf("%.20s: %d bytes are needed, want %d", text, got, 38<<20)
		}
	}
}
