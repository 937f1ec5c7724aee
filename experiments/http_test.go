package experiments

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onRequests has service-b answer 500, or late, on the way to service-a, whose callers must not notice.
const onRequests = `apiVersion: chaos/v1
name: on-requests
traffic:
  - {service: service-a, path: /work, rate: 200/s}
steadyState:
  - {id: up, http: {service: service-a, path: /health}, expect: {status: 200}}
steps:
  - id: abort
    fault: http.abort
    target: {service: service-a, to: service-b}
    with: {status: 500, method: POST, path: /work}
    duration: 2s
  - id: no-errors
    during: abort
    ratio: {part: 'chaos_requests_total{to="service-a",status!~"2.."}', total: 'chaos_requests_total{to="service-a"}'}
    expect: {max: 2%}
  - id: delay
    needs: [abort]
    fault: http.delay
    target: {service: service-a, to: service-b}
    with: {delay: 100ms, probability: 50%}
    duration: 1s
`

func requestsFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "on-requests.yaml")
	if err := os.WriteFile(file, []byte(onRequests), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The real services bear that one answers 500 to the other, which takes the one's fallback.
func TestFaultsOnRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("runs an experiment twice, a quarter of a minute")
	}
	program, file := chaos(t), requestsFile(t)
	t.Run("as they are", func(t *testing.T) {
		t.Parallel()
		code, r, said := decided(t, program, file)
		if code != 0 || r.Gate != "OPEN" {
			t.Errorf("exit code %d, gate %s:\n%s", code, r.Gate, said)
		}
	})
	t.Run("without the fallback", func(t *testing.T) {
		t.Parallel()
		code, r, said := decided(t, program, "--weakened", "no-fallback", file)
		if code != 1 || r.Gate != "CLOSED" || !strings.Contains(said, "no-errors FAIL") {
			t.Errorf("exit code %d, gate %s:\n%s", code, r.Gate, said)
		}
	})
}
