package docker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-connections/nat"
	"gopkg.in/yaml.v3"
)

// composed is a Compose file as `config` prints it: resolved, in the forms that either Compose has for its keys.
type composed struct {
	Services map[string]map[string]any `yaml:"services"`
	Volumes  map[string]map[string]any `yaml:"volumes,omitempty"`
	Networks map[string]map[string]any `yaml:"networks,omitempty"`
	Rest     map[string]any            `yaml:",inline"`
}

// ownFile makes a resolved Compose file into one that can run beside others of its kind: the engine chooses the ports, and what has a name or a place of its own loses
// it. What would still be shared with others is an error, for each piece of it. Variables are added to the environment of services; of the services with a
// profile only the wanted stay.
func ownFile(text []byte, wanted []string, variables map[string]map[string]string) ([]byte, error) {
	f, err := readComposed(text)
	if err != nil {
		return nil, fmt.Errorf("read what Compose makes of its file: %w", err)
	}
	stay := f.staying(wanted)
	delete(f.Rest, "version") // it says nothing, and of some versions Compose would not take what it has printed
	delete(f.Rest, "name")
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(f.Services)) {
		if !stay[name] {
			delete(f.Services, name)
			continue
		}
		if err := ownService(f.Services[name]); err != nil {
			errs = append(errs, fmt.Errorf("service %s: %w", name, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		errs = append(errs, addVariables(f.Services, name, variables[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Volumes)) {
		errs = append(errs, ownVolume(name, f.Volumes[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Networks)) {
		errs = append(errs, ownNetwork(name, f.Networks[name]))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return yaml.Marshal(f)
}

// readComposed reads what Compose prints. docker-compose writes YAML 1.1, in which 1e3 and 0o17 are texts without quotes.
func readComposed(text []byte) (f composed, err error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return f, err
	}
	texts(&doc)
	return f, doc.Decode(&f)
}

// texts makes texts of what is a number in YAML 1.2 alone.
func texts(n *yaml.Node) {
	number := n.Kind == yaml.ScalarNode && n.Style == 0 && (n.ShortTag() == "!!int" || n.ShortTag() == "!!float")
	if number && (strings.ContainsAny(n.Value, "oO") || strings.ContainsAny(n.Value, "eE") && !strings.Contains(n.Value, ".")) && !strings.HasPrefix(n.Value, "0x") {
		n.Tag = "!!str"
	}
	for _, c := range n.Content {
		texts(c)
	}
}

// staying are the services that the copy has: those without a profile, the wanted, and what they depend on.
func (f composed) staying(wanted []string) map[string]bool {
	stay := map[string]bool{}
	var keep func(name string)
	keep = func(name string) {
		if s, ok := f.Services[name]; ok && !stay[name] {
			stay[name] = true
			for _, on := range namesIn(s["depends_on"]) {
				keep(on)
			}
		}
	}
	for name, s := range f.Services {
		if profiles, _ := s["profiles"].([]any); len(profiles) == 0 || slices.Contains(wanted, name) {
			keep(name)
		}
	}
	return stay
}

// namesIn reads a list of names, or a mapping of them.
func namesIn(v any) (names []string) {
	switch v := v.(type) {
	case map[string]any:
		return slices.Collect(maps.Keys(v))
	case []any:
		for _, n := range v {
			names = append(names, fmt.Sprint(n))
		}
	}
	return names
}

func ownService(s map[string]any) error {
	delete(s, "container_name")
	delete(s, "profiles")
	mode, _ := s["network_mode"].(string)
	switch links, _ := s["external_links"].([]any); {
	case mode == "host":
		return errors.New("it has the network of its machine, where two of it would want the same ports")
	case mode == "bridge", strings.HasPrefix(mode, "container:"), len(links) > 0:
		return errors.New("it shares a network with containers outside of the project")
	}
	outside := func(name string) bool { return strings.HasPrefix(name, "container:") }
	for _, key := range []string{"volumes_from", "pid", "ipc"} {
		if one, _ := s[key].(string); outside(one) || slices.ContainsFunc(namesIn(s[key]), outside) {
			return fmt.Errorf("it shares with a container outside of the project, by %s", key)
		}
	}
	if err := ownMounts(s); err != nil {
		return err
	}
	return ownPorts(s)
}

// ownPorts lets the engine choose the numbers under which ports are published, at the addresses that the author has chosen.
func ownPorts(s map[string]any) error {
	ports, _ := s["ports"].([]any)
	var own []any
	for _, p := range ports {
		found, err := mappings(p)
		if err != nil {
			return err
		}
		for _, f := range found {
			switch ip := f.Binding.HostIP; {
			case ip == "":
				own = append(own, string(f.Port))
			case strings.Contains(ip, ":"):
				own = append(own, "["+ip+"]::"+string(f.Port))
			default:
				own = append(own, ip+"::"+string(f.Port))
			}
		}
	}
	if own != nil {
		s["ports"] = own
	}
	return nil
}

// mappings reads an entry of a service's ports, of either form.
func mappings(p any) ([]nat.PortMapping, error) {
	long, ok := p.(map[string]any)
	if !ok {
		found, err := nat.ParsePortSpec(fmt.Sprint(p))
		if err != nil {
			return nil, fmt.Errorf("port %v: %w", p, err)
		}
		return found, nil
	}
	protocol, ip := "tcp", ""
	if s, ok := long["protocol"].(string); ok && s != "" {
		protocol = s
	}
	if s, ok := long["host_ip"].(string); ok {
		ip = s
	}
	port, err := nat.NewPort(protocol, fmt.Sprint(long["target"]))
	if err != nil {
		return nil, fmt.Errorf("port %v: %w", long["target"], err)
	}
	return []nat.PortMapping{{Port: port, Binding: nat.PortBinding{HostIP: ip}}}, nil
}

// ownMounts refuses folders of the machine that can be written to: all experiments would write to them.
func ownMounts(s map[string]any) error {
	mounts, _ := s["volumes"].([]any)
	for _, m := range mounts {
		if from, ok := sharedFolder(m); ok {
			return fmt.Errorf("it writes to %s, which each experiment would share: mount it read-only, or use a volume", from)
		}
	}
	return nil
}

// sharedFolder answers the folder of the machine that a mount can write to.
func sharedFolder(m any) (string, bool) {
	if long, ok := m.(map[string]any); ok {
		from, _ := long["source"].(string)
		readOnly, _ := long["read_only"].(bool)
		return from, long["type"] == "bind" && !readOnly
	}
	from, rest, _ := strings.Cut(fmt.Sprint(m), ":")
	_, mode, _ := strings.Cut(rest, ":")
	return from, rest != "" && strings.HasPrefix(from, "/") && !slices.Contains(strings.Split(mode, ","), "ro")
}

// addVariables adds to the environment of a service, of either form. A $ is written twice, as Compose wants it.
func addVariables(services map[string]map[string]any, name string, variables map[string]string) error {
	s, ok := services[name]
	if !ok {
		return fmt.Errorf("there is no service %s in the Compose file to take its protections away", name)
	}
	all := map[string]any{}
	switch given := s["environment"].(type) {
	case map[string]any:
		all = given
	case []any:
		for _, entry := range given {
			key, value, has := strings.Cut(fmt.Sprint(entry), "=")
			if all[key] = value; !has {
				all[key] = nil
			}
		}
	}
	for key, value := range variables {
		all[key] = strings.ReplaceAll(value, "$", "$$")
	}
	s["environment"] = all
	return nil
}

func ownVolume(name string, v map[string]any) error {
	if isExternal(v) {
		return fmt.Errorf("volume %s is not the project's own, and each experiment would share it", name)
	}
	options, _ := v["driver_opts"].(map[string]any)
	if at, ok := options["device"]; ok && options["type"] != "tmpfs" {
		return fmt.Errorf("volume %s is kept at %v, which each experiment would share", name, at)
	}
	delete(v, "name")
	return nil
}

func ownNetwork(name string, n map[string]any) error {
	if isExternal(n) {
		return fmt.Errorf("network %s is not the project's own: the services of each experiment would meet those of the others in it", name)
	}
	delete(n, "name")
	return nil
}

// isExternal says whether a volume or a network is declared as not the project's own: with true, or by its name in an older form.
func isExternal(of map[string]any) bool {
	says, ok := of["external"]
	return ok && says != false && says != nil
}
