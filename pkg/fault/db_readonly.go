package fault

import (
	"context"
	"encoding/json"
	"fmt"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// readonly is db.readonly. By hand it is one byte of the file's header; dd would make a file that is gone.
func readonly() edited {
	return edited{
		edit: sqlitefile.EditReadOnly, met: agent.ReadOnly, code: "SQLITE_READONLY", is: "read-only", try: "a write", able: "written to",
		manual: func(path string) string {
			return fmt.Sprintf(`test ! -e %[1]s || printf '\001' | dd of=%[1]s bs=1 seek=18 conv=notrunc`, path)
		},
	}
}

func newDBReadonly(r Request) (Fault, error) { return newDBEdit(r, "db.readonly", readonly()) }

func revertDBReadonly(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	return readonly().revertEdit(ctx, rt, data, ref)
}
