package fault

import (
	"fmt"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/target"
)

// newDBFull builds db.full: disk.fill where the files of a database are.
func newDBFull(r Request) (Fault, error) {
	owner, err := able[target.DiskOwner](r.Runtime, target.CanFill)
	if err != nil {
		return nil, err
	}
	dbs, err := able[target.Databaser](r.Runtime, target.CanDatabase)
	if err != nil {
		return nil, err
	}
	return eachInstance(r, func(i instance) (subject, error) {
		at, err := dbs.Database(i.Target, r.Params.Text("database"))
		switch {
		case err != nil:
			return nil, err
		case at.Server != nil:
			return nil, fmt.Errorf(noServerEdit, "db.full")
		case !at.Inside:
			return nil, fmt.Errorf("%s: the database %s is on a disk of the machine, which is not filled", i.Instance, at.Path)
		}
		h, err := newHosted(r, i, "db.full")
		return &diskFill{hosted: h, owner: owner, config: agent.DiskFillConfig{Database: at.Path}}, err
	})
}
