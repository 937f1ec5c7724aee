package agent

import (
	"reflect"
	"testing"

	"chaosgate/pkg/internal/testkit"
)

func TestReadMount(t *testing.T) {
	for line, want := range map[string]mount{
		"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n": {
			id: 36, parent: 35, device: "98:0", root: "/mnt1", at: "/mnt2", options: []string{"rw", "noatime"}, kind: "ext3", super: []string{"rw", "errors=continue"},
		},
		`7 6 0:40 / /a\040b\134c ro shared:3 master:1 - tmpfs tmpfs rw,size=64k`: {
			id: 7, parent: 6, device: "0:40", root: "/", at: `/a b\c`, options: []string{"ro"}, shared: true, kind: "tmpfs", super: []string{"rw", "size=64k"},
		},
		"7 6 0:40 / /x rw - fuse.a  rw": {id: 7, parent: 6, device: "0:40", root: "/", at: "/x", options: []string{"rw"}, kind: "fuse.a", super: []string{"rw"}},
	} {
		if got, err := readMount(line); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"", "36 35 98:0 / / rw", "36 35 98:0 / / - ext3 dev rw", "x 35 98:0 / / rw - ext3 dev rw", "36 x 98:0 / / rw - ext3 dev rw"} {
		_, err := readMount(line)
		testkit.WantError(t, err, "the kernel's line on a mount reads ")
	}
}
