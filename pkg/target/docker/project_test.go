package docker

import (
	"bytes"
	"chaosgate/pkg/imagetest"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// named says what a project is named by: its folder, the text of its Compose file and of .env, and the environment.
type named struct {
	folder, file, dotEnv string
	env                  map[string]string
}

// write writes the files into a new folder and answers the path of the Compose file.
func (n named) write(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), n.folder, "docker-compose.yml")
	must(t, os.Mkdir(filepath.Dir(file), 0o700))
	must(t, os.WriteFile(file, []byte(n.file), 0o600))
	if n.dotEnv != "" {
		must(t, os.WriteFile(filepath.Join(filepath.Dir(file), ".env"), []byte(n.dotEnv), 0o600))
	}
	return file
}

func (n named) getenv(name string) string { return n.env[name] }

func TestProjectOf(t *testing.T) {
	environment := map[string]string{"COMPOSE_PROJECT_NAME": "Env.1", "BY": "me"}
	by := map[string]string{"BY": "me"}
	for want, n := range map[string]named{
		"shop":        {folder: "shop"},
		"my-shop":     {folder: "_My-Shop!"},
		"a_b9":        {folder: "a_b9", file: "services: {web: {image: x}}", dotEnv: "OTHER=x\n"},
		"env1":        {folder: "shop", file: "name: file", dotEnv: "COMPOSE_PROJECT_NAME=dot", env: environment},
		"_env":        {folder: "shop", env: map[string]string{"COMPOSE_PROJECT_NAME": "_env"}},
		"dot":         {folder: "shop", file: "name: file", dotEnv: "COMPOSE_PROJECT_NAME=dot", env: by},
		"file":        {folder: "shop", file: "name: file\nservices: {web: {image: x, ports: !reset []}}", dotEnv: "COMPOSE_PROJECT_NAME=\n"},
		"file-2":      {folder: "shop", file: "name: _File-2"},
		"shop-me":     {folder: "shop", file: `name: "shop-${BY}"`, dotEnv: "BY=you", env: by},
		"shop-you":    {folder: "shop", file: "name: shop-$BY", dotEnv: "BY=you"},
		"me-5":        {folder: "shop", file: "name: ${BY:?who}-${N-5}", env: by},
		"me-6":        {folder: "shop", file: "name: ${BY:-you}-6", env: by},
		"default":     {folder: "shop", file: "name: ${COMPOSE_PROJECT_NAME:-default}"},
		"not-default": {folder: "shop", file: "name: ${COMPOSE_PROJECT_NAME:-default}", dotEnv: "COMPOSE_PROJECT_NAME=not-default"},
	} {
		got, err := ProjectOf(n.write(t), n.getenv)
		if got != want || err != nil {
			t.Errorf("%+v: got %q and %v, want %q", n, got, err, want)
		}
	}
	got, err := ProjectOf("/there/is/no/shop/compose.yml", named{}.getenv)
	if got != "shop" || err != nil {
		t.Errorf("got %q and %v", got, err)
	}
}

func TestProjectsWithoutAName(t *testing.T) {
	for want, n := range map[string]named{
		"`name` is \"a-${X}\": the variable X is not set":                      {folder: "shop", file: "name: a-${X}"},
		"the variable X is not set":                                            {folder: "shop", file: "name: ${X:?who}"},
		"what ${X:-${Y} stands for is not known":                               {folder: "shop", file: "name: ${X:-${Y}}"},
		"what ${X:+a} stands for is not known":                                 {folder: "shop", file: "name: ${X:+a}"},
		"COMPOSE_PROJECT_NAME in .env refers to another variable":              {folder: "shop", file: "name: a", dotEnv: "COMPOSE_PROJECT_NAME=${A}"},
		"BY in .env refers to another variable":                                {folder: "shop", file: "name: a-${BY}", dotEnv: "BY='$A'"},
		"no letter and no digit":                                               {folder: "__"},
		"cannot unmarshal !!seq":                                               {folder: "shop", file: "name: [a]"},
		"docker-compose.yml: yaml: mapping values":                             {folder: "shop", file: "name: a: b"},
		"not set\nthe variable Y is not set: name the project with `project` ": {folder: "shop", file: "name: ${X}${Y}"},
	} {
		_, err := ProjectOf(n.write(t), n.getenv)
		wantError(t, err, want, "with `project` in chaos.yaml")
	}
}

// The values are those that docker-compose 1.29 takes from such lines.
func TestReadDotEnv(t *testing.T) {
	for text, want := range map[string]string{
		"X=a":                              "a",
		"\ufeffX=bom":                      "bom",
		"  export X = a b \t# comment\r\n": "a b",
		"X=a#b":                            "a#b",
		"X= # b":                           "# b",
		`X="a # b" # c`:                    "a # b",
		"X='a # b'":                        "a # b",
		"X=it's\nY='":                      "it's",
		"X=one\nX=two\nY=three":            "two",
		"Y='\nX=inside\n'\nX=outside":      "outside",
		"Y=\"\nX=inside\n\"\n":             "",
		"# X=a":                            "",
		"X":                                "",
		"XX=a\nY=X=b":                      "",
		"X: a":                             "a", // as `docker compose` does
	} {
		if got := readDotEnv([]byte(text))["X"]; got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// What Compose names a project here is what it is found by.
func TestComposeNamesTheProject(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	engine := dial(t)
	img, err := testImage()
	must(t, err)
	own := fmt.Sprintf("chaos-test-%d-", os.Getpid())
	services := fmt.Sprintf("services: {web: {image: %s, command: [%s], network_mode: none}}\n", img, testProgram)
	for name, n := range map[string]named{
		"folder":      {folder: own + "Fol.der"},
		"dot-env":     {folder: "shop", dotEnv: "export COMPOSE_PROJECT_NAME = '" + own + "dot' # here\n"},
		"environment": {folder: "shop", dotEnv: "COMPOSE_PROJECT_NAME=" + own + "dot\n", env: map[string]string{"COMPOSE_PROJECT_NAME": own + "env"}},
		"name":        {folder: "shop", dotEnv: "BY=me", file: "name: " + own + "${BY}-${N:-1}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n.file += services
			file := n.write(t)
			project, err := ProjectOf(file, n.getenv)
			must(t, err)
			t.Cleanup(func() {
				_, err := removeProject(soonAfter(t), engine, project)
				must(t, err)
			})
			n.create(t, file)
			all, err := engine.ContainerList(soon(t), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelFolder+"="+filepath.Dir(file)))})
			must(t, err)
			if len(all) != 1 || all[0].Labels[labelProject] != project {
				t.Errorf("got %+v, want one container of the project %s", all, project)
			}
		})
	}
}

// create has Compose create the containers of a file, named by nobody else. One that knows no `name` in a file refuses that.
func (n named) create(t *testing.T, file string) {
	t.Helper()
	command, err := Stack{}.composer(soon(t))
	imagetest.NeedsDocker(t, err)
	cmd := exec.CommandContext(soon(t), command[0], append(command[1:], "-f", file, "up", "--no-start")...)
	cmd.Env = Stack{Endpoint: endpoint(t)}.environ()
	for name, value := range n.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	said, err := cmd.CombinedOutput()
	if len(command) == 1 && bytes.Contains(said, []byte("'name' does not match")) && strings.HasPrefix(n.file, "name:") {
		t.Skip("this Compose refuses a file with a name")
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, said)
	}
}
