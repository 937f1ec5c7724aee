package metrics

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// RemoteOptions say how to reach a Prometheus server. Secrets are given by the names of environment variables and appear in no text.
type RemoteOptions struct {
	URL            string
	Timeout        time.Duration // of one query; default 10s
	BearerTokenEnv string
	UsernameEnv    string
	PasswordEnv    string
	CAFile         string
	CertFile       string
	KeyFile        string
	ServerName     string
	Getenv         func(string) string // nil is none
	Interval       time.Duration       // of its scrapes; a series has no value any more after four without it, if the server can be told so
	Experiment     string              // only series with this ExperimentLabel are looked at; "" is all
}

// Remote is a Source that asks a Prometheus server over its HTTP API. It is safe for concurrent use.
type Remote struct {
	api     v1.API
	name    string // the URL without credentials
	version string // "" before Check
	timeout time.Duration
	scope   *labels.Matcher // of every selector; nil is none
	options []v1.Option
}

// maxAnswer bounds what a server may answer: a chart has 240 points, so this is a thousand series.
const maxAnswer = 8 << 20

// NewRemote checks the options and makes a Source; it does not dial.
func NewRemote(o RemoteOptions) (*Remote, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		// The parser's own message would repeat what may be a password.
		return nil, errors.New("the Prometheus URL cannot be read as one; it should be http(s)://HOST[:PORT][/PATH]")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the Prometheus URL %q is not http(s)://HOST[:PORT][/PATH]", u.Redacted())
	}
	if u.User != nil {
		return nil, fmt.Errorf("the Prometheus URL %q holds credentials; name their environment variables with usernameEnv and passwordEnv instead", u.Redacted())
	}
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.Config{Address: o.URL, RoundTripper: transport})
	if err != nil {
		return nil, fmt.Errorf("the Prometheus at %s: %w", u.Redacted(), err)
	}
	if o.Timeout <= 0 {
		o.Timeout = queryTimeout
	}
	r := &Remote{api: v1.NewAPI(client), name: u.Redacted(), timeout: o.Timeout}
	if o.Interval > 0 {
		r.options = append(r.options, v1.WithLookbackDelta(lookbackIntervals*o.Interval))
	}
	if o.Experiment != "" {
		r.scope = labels.MustNewMatcher(labels.MatchEqual, ExperimentLabel, o.Experiment)
	}
	return r, nil
}

func newTransport(o RemoteOptions) (http.RoundTripper, error) {
	config := &tls.Config{ServerName: o.ServerName, MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile: %s holds no certificate", o.CAFile)
		}
	}
	if o.CertFile != "" || o.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("certFile and keyFile: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	auth, err := authorization(o)
	if err != nil {
		return nil, err
	}
	return &remoteTransport{auth: auth, next: &http.Transport{TLSClientConfig: config, IdleConnTimeout: 10 * time.Second}}, nil
}

// authorization answers what sets the header, from the variables that the options name; a variable that is named and not set is an error.
func authorization(o RemoteOptions) (func(*http.Request), error) {
	get := func(option, name string) (string, error) {
		if o.Getenv == nil || o.Getenv(name) == "" {
			return "", fmt.Errorf("%s names the environment variable %s, which is not set", option, name)
		}
		return o.Getenv(name), nil
	}
	switch {
	case o.BearerTokenEnv != "":
		token, err := get("bearerTokenEnv", o.BearerTokenEnv)
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }, err
	case o.UsernameEnv != "" || o.PasswordEnv != "":
		user, err := get("usernameEnv", o.UsernameEnv)
		if err != nil {
			return nil, err
		}
		password, err := get("passwordEnv", o.PasswordEnv)
		return func(r *http.Request) { r.SetBasicAuth(user, password) }, err
	default:
		return func(*http.Request) {}, nil
	}
}

// remoteTransport adds the credentials and bounds answers.
type remoteTransport struct {
	auth func(*http.Request)
	next http.RoundTripper
}

func (t *remoteTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	t.auth(r)
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 == 3 {
		// A redirect would carry the credentials to wherever it points.
		response.Body.Close()
		return nil, fmt.Errorf("it answered %s to %s; give the final URL", response.Status, response.Header.Get("Location"))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	err = errors.Join(err, response.Body.Close())
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("its answer is longer than %d MiB", maxAnswer>>20)
	}
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// Describe implements Source.
func (r *Remote) Describe() string {
	if r.version == "" {
		return "Prometheus at " + r.name
	}
	return "Prometheus " + r.version + " at " + r.name
}

// Check asks the server for its version, once and before anything else, so that a wrong URL is found before anything is injected.
func (r *Remote) Check(ctx context.Context) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	info, err := r.api.Buildinfo(ctx)
	if err != nil {
		return "", r.explain("asking for its version", err)
	}
	r.version = info.Version
	return info.Version, nil
}

// Query implements Source.
func (r *Remote) Query(ctx context.Context, query string, at time.Time) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	query, err := r.scoped(query)
	if err != nil {
		return Result{}, err
	}
	at = at.Truncate(time.Millisecond) // the server would round, and a window that ends later begins later
	v, warnings, _, err := r.api.Query(ctx, query, at, r.options...)
	result, err := r.result(query, at, v, warnings, err)
	if err == nil {
		err = r.instant(result, v)
	}
	if err != nil {
		return Result{}, err
	}
	return result, nil
}

// QueryRange implements Source.
func (r *Remote) QueryRange(ctx context.Context, query string, from, to time.Time, step time.Duration) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	query, err := r.scoped(query)
	if err != nil {
		return Result{}, err
	}
	v, warnings, _, err := r.api.QueryRange(ctx, query, v1.Range{Start: from, End: to, Step: step}, r.options...)
	return r.result(query, to, v, warnings, err)
}

func (r *Remote) result(query string, at time.Time, v model.Value, warnings v1.Warnings, err error) (Result, error) {
	if err != nil {
		return Result{}, r.explain(fmt.Sprintf("asking %q", query), err)
	}
	series, err := remoteSeries(v)
	if err != nil {
		return Result{}, r.explain(fmt.Sprintf("asking %q", query), err)
	}
	return Result{Query: query, At: at, Series: series, Warnings: nonNil(warnings), Source: r.Describe()}, nil
}

// explain says what was asked, where, what came back and, where it can be told, what to do.
func (r *Remote) explain(what string, err error) error {
	hint := ""
	var answer *v1.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		hint = fmt.Sprintf("; it did not answer within %v", r.timeout)
	case errors.As(err, &answer) && answer.Type == v1.ErrBadResponse:
		hint = "; is this the URL of a Prometheus server?"
	}
	return fmt.Errorf("%s, %s: %w%s", r.Describe(), what, err, hint)
}

func remoteSeries(v model.Value) ([]Series, error) {
	all := []Series{}
	switch v := v.(type) {
	case *model.Scalar:
		all = append(all, Series{Labels: map[string]string{}, Points: []Point{{T: int64(v.Timestamp), V: Float(v.Value)}}})
	case model.Vector:
		for _, s := range v {
			if s.Histogram != nil {
				return nil, errors.New("the answer is a native histogram; ask for a number")
			}
			all = append(all, Series{Labels: metricLabels(s.Metric), Points: []Point{{T: int64(s.Timestamp), V: Float(s.Value)}}})
		}
	case model.Matrix:
		for _, s := range v {
			points := make([]Point, 0, len(s.Values))
			for _, p := range s.Values {
				points = append(points, Point{T: int64(p.Timestamp), V: Float(p.Value)})
			}
			all = append(all, Series{Labels: metricLabels(s.Metric), Points: points})
		}
	default:
		return nil, fmt.Errorf("the answer is a %T, not a number", v)
	}
	return all, nil
}

func metricLabels(m model.Metric) map[string]string {
	l := make(map[string]string, len(m))
	for name, v := range m {
		l[string(name)] = string(v)
	}
	return l
}
