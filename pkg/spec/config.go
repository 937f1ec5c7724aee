package spec

// Config is chaos.yaml: what the names in experiments mean.
type Config struct {
	Doc *Document `yaml:"-" json:"-"`

	APIVersion   string              `yaml:"apiVersion"`
	Environments OrderedEnvironments `yaml:"environments"` // the first is the default
	Secrets      map[string]Secret   `yaml:"secrets"`
	Policy       Policy              `yaml:"policy"`
}

// Secret is a value that must appear nowhere. It is never in a file: the file names the environment variable that holds it.
type Secret struct {
	FromEnv string   `yaml:"fromEnv"`
	SendTo  []string `yaml:"sendTo"` // services to which experiments may send it
}

// OrderedEnvironments keeps the order of the file.
type OrderedEnvironments struct {
	Names  []string
	ByName map[string]Environment
}

// Environment is one place to run experiments.
type Environment struct {
	Target     string              `yaml:"target"` // process, docker, kubernetes
	Services   map[string]Service  `yaml:"services"`
	Compose    string              `yaml:"compose"` // of docker: the Compose file
	Project    string              `yaml:"project"` // of docker: the Compose project, as Compose itself names it if it is empty
	Namespace  string              `yaml:"namespace"`
	Prometheus Prometheus          `yaml:"prometheus"` // a string (embedded, or a URL) or a mapping
	Thresholds map[string]string   `yaml:"thresholds"`
	Weakened   map[string]Weakened `yaml:"weakened"` // by name
}

// Weakened is a variant of an environment with resilience taken away on purpose, so that the gate can be seen to close.
type Weakened struct {
	Closes   []string                     `yaml:"closes"`   // the experiments that must close the gate in it
	Services map[string]map[string]string `yaml:"services"` // service -> variables
}

// HTTPPort is the name of the port that traffic and callers reach.
const HTTPPort = "http"

// Service is one service. Of one in a container the Compose file says how it is started: Build, Command, Env, Restart and Memory are of local processes only. In Command and Env these are replaced: ${port.NAME}, ${data} (its own folder, made anew
// for each experiment), ${link.SERVICE} (host:port of the link to that service), ${binary} (what Build built); in Env also ${secret.NAME}.
type Service struct {
	Build     string            `yaml:"build"`   // a Go package of the project; built once per run
	Command   []string          `yaml:"command"` // default [${binary}]
	Ports     map[string]string `yaml:"ports"`   // name -> usual port; the runner chooses free ones. The port named http is what traffic reaches.
	Env       map[string]string `yaml:"env"`
	Links     []string          `yaml:"links"` // services it calls
	Ready     Readiness         `yaml:"ready"`
	Metrics   string            `yaml:"metrics"` // path on the http port; empty is none
	Restart   Restart           `yaml:"restart"`
	Databases map[string]string `yaml:"databases"` // name -> path of a SQLite file, or URL of a PostgreSQL database (see Server)
	Signals   Signals           `yaml:"signals"`
	Memory    string            `yaml:"memory"` // limit, where a cgroup can be had
	Stop      string            `yaml:"stop"`   // grace of an orderly stop, default 5s
}

// Signals are the metrics by which it is followed how a fault spreads: plain selectors, of which only series of the service itself are taken. Empty is a default of a
// service's own signals, and not measured of a database's.
type Signals struct {
	Requests  string             `yaml:"requests"` // counter
	Errors    string             `yaml:"errors"`   // counter, a part of Requests
	Latency   string             `yaml:"latency"`  // histogram, without _bucket
	Inside    string             `yaml:"inside"`   // counter: errors inside, whether or not callers see them
	Databases map[string]Signals `yaml:"databases"`
}

// Readiness is when a service counts as ready.
type Readiness struct {
	HTTP   string `yaml:"http"`   // a path that answers 2xx on the http port; empty: the port accepts connections
	Within string `yaml:"within"` // default 15s
}

// Restart is what happens when a service exits by itself.
type Restart struct {
	Policy  string `yaml:"policy"`  // never (default), on-failure, always
	Backoff string `yaml:"backoff"` // before the first restart, doubled each time up to 16 times it; default 100ms
	Times   string `yaml:"times"`   // gives up after so many within a run; default 10
}

// Prometheus says where metrics come from.
type Prometheus struct {
	URL      string `yaml:"url"`      // "embedded" or http(s)://...
	Interval string `yaml:"interval"` // scrape interval; default 250ms embedded, 15s for a server
	Timeout  string `yaml:"timeout"`  // of one query, default 10s
	// Names of environment variables that hold the secrets; never the secrets themselves.
	BearerTokenEnv string `yaml:"bearerTokenEnv"`
	UsernameEnv    string `yaml:"usernameEnv"`
	PasswordEnv    string `yaml:"passwordEnv"`
	CAFile         string `yaml:"caFile"`
	CertFile       string `yaml:"certFile"`
	KeyFile        string `yaml:"keyFile"`
	ServerName     string `yaml:"serverName"`
	// Discovery is a folder that the server reads with file_sd_configs; a relative one is below the project's. Empty: the server finds its targets by itself.
	Discovery string `yaml:"discovery"`
}

// Embedded says whether the runner scrapes by itself.
func (p Prometheus) Embedded() bool { return p.URL == "" || p.URL == "embedded" }

// Policy is what a pull request may ask for. Without it every fault the target supports is allowed, and exec is not.
type Policy struct {
	Faults   []string `yaml:"faults"` // patterns: network.*
	Services struct {
		Deny []string `yaml:"deny"`
	} `yaml:"services"`
	Exec    bool   `yaml:"exec"`
	Timeout string `yaml:"timeout"` // the longest that an experiment may take; default 1h
	Rate    string `yaml:"rate"`    // of all traffic of an experiment; default 10000/s
}
