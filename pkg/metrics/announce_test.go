package metrics

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnAnnouncementTellsWhatToScrapeAndIsTakenBack(t *testing.T) {
	folder := t.TempDir()
	path := AnnouncementPath(folder, "run/e")
	targets := []Target{{URL: "http://127.0.0.1:5000/metrics?format=text", Labels: map[string]string{"service": "a", "instance": "a-1"}}}
	callers := Collector{Labels: map[string]string{"service": "traffic"}, Collect: func() []Sample {
		return []Sample{{Name: "x_total", Labels: map[string]string{"to": "a \"b\""}, Value: 1.5}}
	}}
	a, err := Announce(path, "run/e", targets, []Collector{callers})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var groups []discovered
	if err := json.Unmarshal(text, &groups); err != nil || len(groups) != 2 {
		t.Fatalf("%v in %s", err, text)
	}
	first := groups[0]
	if first.Targets[0] != "127.0.0.1:5000" || first.Labels["__metrics_path__"] != "/metrics" || first.Labels["__param_format"] != "text" ||
		first.Labels["service"] != "a" || first.Labels[ExperimentLabel] != "run/e" {
		t.Errorf("announced %+v", first)
	}
	if said := get(t, "http://"+groups[1].Targets[0]+"/metrics"); said != "x_total{to=\"a \\\"b\\\"\"} 1.5\n" {
		t.Errorf("the callers' view is %q", said)
	}
	for range 2 {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNothingElseIsTakenBack(t *testing.T) {
	other := filepath.Join(t.TempDir(), "targets.json")
	if err := os.WriteFile(other, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := RemoveAnnouncement(other); err == nil || !strings.Contains(err.Error(), "not one of our files") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	if _, err := Announce(AnnouncementPath(filepath.Join(t.TempDir(), "none"), "e"), "e", nil, nil); err == nil {
		t.Error("announced in a folder that is not there")
	}
}
