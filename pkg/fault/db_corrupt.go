package fault

import (
	"context"
	"encoding/json"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// corrupt is db.corrupt.
func corrupt() edited {
	return edited{edit: sqlitefile.EditCorrupt, met: agent.Corrupt, code: "SQLITE_CORRUPT", is: "corrupt", try: "a read", able: "read from"}
}

func newDBCorrupt(r Request) (Fault, error) { return newDBEdit(r, "db.corrupt", corrupt()) }

func revertDBCorrupt(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	return corrupt().revertEdit(ctx, rt, data, ref)
}
