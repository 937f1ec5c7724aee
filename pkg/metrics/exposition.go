package metrics

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// The limits of what a target may answer: services have hundreds of lines, and a runner must survive one that has gone mad.
const (
	maxBody      = 8 << 20
	maxSeries    = 20_000
	maxRedirects = 3
	maxHeader    = 64 << 10
)

// newClient makes a client of its own: no proxy from the environment, no shared connections, few redirects and none to another host.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second, DisableCompression: true, MaxResponseHeaderBytes: maxHeader},
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			if to.URL.Host != via[0].URL.Host {
				return fmt.Errorf("redirected to another host, %s", to.URL.Host)
			}
			return nil
		},
	}
}

const acceptHeader = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4"

// fetch reads one exposition.
func (s *Scraper) fetch(ctx context.Context, url string) ([]reading, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", acceptHeader)
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", response.Status)
	}
	body, err := readBody(response)
	if err != nil {
		return nil, err
	}
	readings, err := parse(body, response.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	return readings, checkTimes(readings, time.Now(), max(lookbackIntervals*s.interval, scrapeTimeout))
}

// readBody reads at most maxBody bytes, also after unpacking.
func readBody(response *http.Response) ([]byte, error) {
	var in io.Reader = response.Body
	if strings.EqualFold(response.Header.Get("Content-Encoding"), "gzip") {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("it says gzip, but: %w", err)
		}
		in = unpacked
	}
	body, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("its metrics are longer than %d MiB", maxBody>>20)
	}
	return body, nil
}

// parse reads the text formats. One bad line spoils the whole scrape, as half of the truth would be taken for all of it.
func parse(body []byte, contentType string) ([]reading, error) {
	parser, err := textparse.New(body, contentType, labels.NewSymbolTable(), textparse.ParserOptions{FallbackContentType: "text/plain"})
	if parser == nil {
		return nil, fmt.Errorf("content type %q: %w", contentType, err)
	}
	var readings []reading
	types := map[string]model.MetricType{}
	seen := map[uint64]bool{}
	for {
		entry, err := parser.Next()
		switch {
		case errors.Is(err, io.EOF) && len(readings) == 0:
			return nil, errors.New("it holds no metrics")
		case errors.Is(err, io.EOF):
			return readings, nil
		case err != nil:
			return nil, fmt.Errorf("not a metrics exposition: %w", err)
		case entry == textparse.EntryType:
			name, kind := parser.Type()
			types[string(name)] = kind
		case entry == textparse.EntrySeries:
			if len(readings) == maxSeries {
				return nil, fmt.Errorf("more than %d series", maxSeries)
			}
			r, err := readSeries(parser, types)
			if err != nil {
				return nil, fmt.Errorf("not a metrics exposition: %w", err)
			}
			hash := r.labels().Hash()
			if seen[hash] {
				return nil, fmt.Errorf("%s is there twice, and which of the two is true is not known", r.key)
			}
			seen[hash] = true
			readings = append(readings, r)
		}
	}
}

func readSeries(parser textparse.Parser, types map[string]model.MetricType) (reading, error) {
	key, at, v := parser.Series()
	var l labels.Labels
	parser.Labels(&l)
	if name, doubled := l.HasDuplicateLabelNames(); doubled {
		return reading{}, fmt.Errorf("the label %s stands twice in %s", name, key)
	}
	name := l.Get(model.MetricNameLabel)
	if name == "" {
		return reading{}, fmt.Errorf("the series %s has no name", key)
	}
	r := reading{key: string(key), labels: func() labels.Labels { return l }, value: v, counter: isCounter(name, types)}
	if at != nil {
		r.at = time.UnixMilli(*at)
	}
	return r, nil
}

// checkTimes refuses samples that say themselves that they are not of now: an exporter that repeats what it has once seen would look alive.
func checkTimes(readings []reading, now time.Time, most time.Duration) error {
	for _, r := range readings {
		if off := now.Sub(r.at).Abs(); !r.at.IsZero() && off > most {
			return fmt.Errorf("%s is of %s, %v off: only what is of now can be measured", r.key, r.at.UTC().Format(time.RFC3339), off.Round(time.Millisecond))
		}
	}
	return nil
}

var counterSuffixes = []string{"_total", "_bucket", "_count", "_sum"}

// isCounter says whether a series only rises: a counter, or the parts of a histogram or summary that count.
func isCounter(name string, types map[string]model.MetricType) bool {
	if types[name] == model.MetricTypeCounter {
		return true
	}
	for _, suffix := range counterSuffixes {
		base, ok := strings.CutSuffix(name, suffix)
		if !ok {
			continue
		}
		switch types[base] {
		case "":
			return suffix == "_total" && types[name] == "" // nobody has said what it is, so its name does
		case model.MetricTypeCounter, model.MetricTypeHistogram, model.MetricTypeSummary:
			return true
		}
	}
	return false
}
