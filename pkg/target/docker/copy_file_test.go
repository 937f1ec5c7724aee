package docker

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// What docker-compose 1.29 prints, and what `docker compose` does, become the same kind of file: one that runs beside others of its kind.
func TestOwnFile(t *testing.T) {
	cases := map[string]struct{ printed, want string }{
		"docker-compose 1.29": {`
services:
  web:
    container_name: web
    environment: {A: '1', PRICE: 5$$}
    image: web:dev
    ports: [127.0.0.1:8080:80/tcp, 9000-9001:9000-9001/udp, '[::1]:81:81', '82']
    volumes: [data:/data:rw, /etc/web:/etc/web:ro, /anonymous]
  tools: {image: tools, profiles: [debug], network_mode: host}
  wanted: {image: wanted, profiles: [more], depends_on: [base]}
  base: {image: base, profiles: [more], environment: {HASH: 12e5, OCTAL: 0o17, WHOLE: 7, PART: 0.5, HEX: 0x1e3}, command: [1e3], depends_on: {below: {condition: service_started}}}
  below: {image: below, profiles: [more]}
networks: {back: {name: one}, front: null}
volumes: {data: {name: fixed}, fast: {driver_opts: {type: tmpfs, device: tmpfs, o: size=8m}}}
version: '3.9'
`, `
services:
  web:
    environment: {A: '2', PRICE: 5$$, MORE: 1$$2}
    image: web:dev
    ports: [127.0.0.1::80/tcp, 9000/udp, 9001/udp, '[::1]::81/tcp', 82/tcp]
    volumes: [data:/data:rw, /etc/web:/etc/web:ro, /anonymous]
  wanted: {image: wanted, depends_on: [base]}
  base: {image: base, environment: {HASH: '12e5', OCTAL: '0o17', WHOLE: 7, PART: 0.5, HEX: 0x1e3}, command: ['1e3'], depends_on: {below: {condition: service_started}}}
  below: {image: below}
networks: {back: {}, front: {}}
volumes: {data: {}, fast: {driver_opts: {type: tmpfs, device: tmpfs, o: size=8m}}}
`},
		"docker compose": {`
name: own
services:
  web:
    environment: {A: "1"}
    image: web:dev
    networks: {default: null}
    ports:
      - {mode: ingress, host_ip: 127.0.0.1, target: 80, published: "8080", protocol: tcp}
      - {mode: ingress, target: 53, published: "53", protocol: udp}
    volumes:
      - {type: volume, source: data, target: /data, volume: {}}
      - {type: bind, source: /etc/web, target: /etc/web, read_only: true, bind: {create_host_path: true}}
networks: {default: {name: own_default, ipam: {}}}
volumes: {data: {name: own_data}}
`, `
services:
  web:
    environment: {A: '2', MORE: 1$$2}
    image: web:dev
    networks: {default: null}
    ports: [127.0.0.1::80/tcp, 53/udp]
    volumes:
      - {type: volume, source: data, target: /data, volume: {}}
      - {type: bind, source: /etc/web, target: /etc/web, read_only: true, bind: {create_host_path: true}}
networks: {default: {ipam: {}}}
volumes: {data: {}}
`},
		"variables as a list": {`
services: {web: {environment: [A=1, B, C=x=y]}}
`, `
services: {web: {environment: {A: '2', B: null, C: x=y, MORE: 1$$2}}}
`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ownFile([]byte(c.printed), []string{"web", "wanted"}, map[string]map[string]string{"web": {"A": "2", "MORE": "1$2"}})
			must(t, err)
			if want := plain(t, c.want); plain(t, string(got)) != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func plain(t *testing.T, text string) string {
	t.Helper()
	var v any
	must(t, yaml.Unmarshal([]byte(text), &v))
	out, err := yaml.Marshal(v)
	must(t, err)
	return string(out)
}

// What experiments would share cannot be had once for each; all of it is said.
func TestWhatCannotBeCopied(t *testing.T) {
	cases := map[string]struct{ service, rest, want string }{
		"the machine's network":  {"network_mode: host", "", "service web: it has the network of its machine"},
		"another's network":      {"network_mode: 'container:abc'", "", "service web: it shares a network with containers outside of the project"},
		"the engine's network":   {"network_mode: bridge", "", "service web: it shares a network"},
		"another's volumes":      {"volumes_from: ['container:outside:rw']", "", "service web: it shares with a container outside of the project, by volumes_from"},
		"another's processes":    {"pid: 'container:outside'", "", "by pid"},
		"another's memory":       {"ipc: 'container:outside'", "", "by ipc"},
		"links to outside":       {"external_links: [db]", "", "service web: it shares a network"},
		"a folder":               {"volumes: ['/srv/web:/srv:rw']", "", "service web: it writes to /srv/web, which each experiment would share: mount it read-only, or use a volume"},
		"a folder by default":    {"volumes: ['/srv/web:/srv']", "", "it writes to /srv/web"},
		"a folder, long":         {"volumes: [{type: bind, source: /srv/web, target: /srv}]", "", "it writes to /srv/web"},
		"another's volume":       {"image: web", "volumes: {data: {external: true}}", "volume data is not the project's own"},
		"another's, older form":  {"image: web", "volumes: {data: {external: {name: x}}}", "volume data is not the project's own"},
		"a volume with a place":  {"image: web", "volumes: {data: {driver_opts: {type: none, o: bind, device: /srv/data}}}", "volume data is kept at /srv/data"},
		"another's network name": {"image: web", "networks: {front: {external: true}}", "network front is not the project's own"},
		"a port that is none":    {"ports: ['a:b']", "", "port a:b: "},
		"no port":                {"ports: [{published: '8080'}]", "", "port <nil>: "},
		"no services":            {"", "services: 7", "read what Compose makes of its file: "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text := "services: {web: {" + strings.TrimSuffix(c.service, "\n") + "}}\n" + c.rest
			if c.service == "" {
				text = c.rest
			}
			_, err := ownFile([]byte(text), []string{"web"}, nil)
			wantError(t, err, c.want)
		})
	}
	_, err := ownFile([]byte("services: {web: {network_mode: host}, b: {external_links: [a]}}\nvolumes: {d: {external: true}}"), nil, map[string]map[string]string{"c": {"A": "b"}})
	wantError(t, err, "service b: ", "service web: ", "volume d ", "there is no service c in the Compose file")
}
