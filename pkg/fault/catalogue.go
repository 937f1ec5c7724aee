package fault

import (
	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// Find answers the fault of this name.
func Find(name string) (Kind, bool) {
	for _, k := range Catalogue() {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// Catalogue is all faults there are: a new one is a file and a row.
func Catalogue() []Kind {
	return []Kind{
		{
			Name:   "service.kill",
			Doc:    "Kills the instance's processes. With a duration it stays down for that long; without one its restart policy decides whether it comes back.",
			Params: []Param{{Name: "signal", Type: Text, Default: "SIGKILL", Choices: []string{"SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGABRT"}, Doc: "which signal it gets; all but SIGKILL can be handled by the service"}},
			Needs:  []target.Capability{target.CanKill, target.CanStart, target.CanInspect}, Duration: DurationOptional, Silences: true,
			Proof: "the process that ran before is gone",
			New:   newKill, Revert: revertOutage,
		},
		{
			Name:   "service.stop",
			Doc:    "Stops the instance in an orderly way, keeps it down for the duration, and starts it again.",
			Params: []Param{graceParam},
			Needs:  []target.Capability{target.CanKill, target.CanStart, target.CanInspect}, Duration: DurationRequired, Silences: true,
			Proof: "the process that ran before is gone",
			New:   newStop, Revert: revertOutage,
		},
		{
			Name:  "service.pause",
			Doc:   "Freezes all processes of the instance: its connections stay open and nobody answers.",
			Needs: []target.Capability{target.CanPause, target.CanInspect}, Duration: DurationRequired, Silences: true,
			Proof: "the system shows its processes as stopped",
			New:   newPause, Revert: revertPause,
		},
		{
			Name:   "service.restart",
			Doc:    "Stops the instance in an orderly way and starts it again at once, as a deployment does.",
			Params: []Param{graceParam},
			Needs:  []target.Capability{target.CanStart, target.CanInspect}, Duration: DurationNone, Silences: true,
			Proof: "another process runs and is ready",
			New:   newRestart, Revert: revertOutage,
		},
		{
			Name: "network.latency",
			Doc:  "Lets what passes a link arrive later, on connections that exist as well. By default requests are delayed, so a round trip takes delay longer.",
			Params: []Param{
				{Name: "delay", Type: Duration, Required: true, Min: "1ms", Max: "1m", Doc: "how much later"},
				{Name: "jitter", Type: Duration, Default: "0s", Max: "1m", Doc: "by how much the delay varies up and down at random; at most the delay"},
				{Name: "direction", Type: Text, Default: request, Choices: []string{request, response, both}, Doc: "request: a round trip takes delay longer; response: likewise, on the way back; both: it takes twice the delay longer"},
			},
			Needs: []target.Capability{target.CanImpair}, Duration: DurationRequired, Link: true,
			Proof: "a round trip takes at least 80% of the delay longer than before, and traffic passes the link meanwhile",
			Onset: latencyOnset, Together: checkLatency,
			New: newLatency, Revert: revertLink,
		},
		{
			Name:   "network.bandwidth",
			Doc:    "Lets each connection over a link carry at most so many bytes per second in each direction.",
			Params: []Param{{Name: "rate", Type: Rate, Required: true, Min: "1kB/s", Doc: "of each connection and direction"}},
			Needs:  []target.Capability{target.CanImpair}, Duration: DurationRequired, Link: true,
			Proof: "the link shows the limit, and traffic has to wait for it meanwhile, for a millisecond or longer",
			Onset: bandwidthOnset,
			New:   newBandwidth, Revert: revertLink,
		},
		{
			Name:  "network.partition",
			Doc:   "Lets nothing pass a link: callers wait until they give up, on connections that exist as well.",
			Needs: []target.Capability{target.CanImpair}, Duration: DurationRequired, Link: true,
			Proof: "a request is not answered within 400ms, and callers try the link meanwhile",
			Onset: partitionOnset,
			New:   newPartition, Revert: revertLink,
		},
		{
			Name:  "network.reset",
			Doc:   "Resets the connections over a link, those that exist, once something is sent on them, and each new one.",
			Needs: []target.Capability{target.CanImpair}, Duration: DurationRequired, Link: true,
			Proof: "a new connection is reset, and callers try the link meanwhile",
			New:   newReset, Revert: revertLink,
		},
		{
			Name:   "network.loss",
			Doc:    "Loses packets of a link. TCP sends them again, later and later: callers feel delays before they feel anything else.",
			Params: []Param{probability},
			Needs:  []target.Capability{target.CanImpair, target.CanPackets}, Duration: DurationRequired, Link: true,
			Proof: "the link shows the fault, and packets are lost meanwhile",
			New:   newLoss, Revert: revertLink,
		},
		{
			Name:   "network.corrupt",
			Doc:    "Changes a bit of the payload in packets of a link. Their receiver throws them away, as their checksum is wrong, and TCP sends them again.",
			Params: []Param{probability},
			Needs:  []target.Capability{target.CanImpair, target.CanPackets}, Duration: DurationRequired, Link: true,
			Proof: "the link shows the fault, and packets are changed meanwhile",
			New:   newCorrupt, Revert: revertLink,
		},
		{
			Name: "network.reorder",
			Doc:  "Delays the packets of a link, all but some, which overtake the others.",
			Params: []Param{
				{Name: "probability", Type: Percent, Required: true, Min: "0.1%", Max: "99%", Doc: "that a packet overtakes, of each by itself, in both directions"},
				{Name: "delay", Type: Duration, Default: "10ms", Min: "1ms", Max: "1m", Doc: "of the others"},
			},
			Needs: []target.Capability{target.CanImpair, target.CanPackets}, Duration: DurationRequired, Link: true,
			Proof: "the link shows the fault, and packets overtake others meanwhile",
			New:   newReorder, Revert: revertLink,
		},
		{
			Name:   "network.duplicate",
			Doc:    "Lets packets of a link arrive twice. TCP throws the second one away; who receives datagrams gets both.",
			Params: []Param{probability},
			Needs:  []target.Capability{target.CanImpair, target.CanPackets}, Duration: DurationRequired, Link: true,
			Proof: "the link shows the fault, and packets arrive twice meanwhile",
			New:   newDuplicate, Revert: revertLink,
		},
		{
			Name: "http.abort",
			Doc:  "Answers HTTP requests over a link with a status; the callee never sees them. Connections that exist are reset first, so that every request from then on is met.",
			Params: []Param{
				{Name: "status", Type: Integer, Default: "503", Min: "400", Max: "599", Doc: "of the answer, which has no body"}, methodParam, pathParam, partParam,
			},
			Needs: []target.Capability{target.CanImpair, target.CanRequests}, Duration: DurationRequired, Link: true, Sole: true,
			Proof:    "a request to the readiness path gets the status, or where it is not meant the link shows the fault; and requests are answered meanwhile",
			Together: checkPath,
			New:      newAbort, Revert: revertLink,
		},
		{
			Name: "http.delay",
			Doc:  "Holds HTTP requests over a link before they are passed on. Connections that exist are reset first, so that every request from then on is met.",
			Params: []Param{
				{Name: "delay", Type: Duration, Required: true, Min: "1ms", Max: "1m", Doc: "how long"},
				{Name: "jitter", Type: Duration, Default: "0s", Max: "1m", Doc: "by how much the delay varies up and down at random; at most the delay"}, methodParam, pathParam, partParam,
			},
			Needs: []target.Capability{target.CanImpair, target.CanRequests}, Duration: DurationRequired, Link: true, Sole: true,
			Proof: "a request to the readiness path takes at least 80% of the delay longer than before, or where it is not meant the link shows the fault; and requests are held meanwhile",
			Onset: holdOnset, Together: checkHold,
			New: newHold, Revert: revertLink,
		},
		{
			Name: "cpu.stress",
			Doc:  "Keeps workers busy in a process of their own, charged to the instance's own cgroup where one can be had.",
			Params: []Param{
				{Name: "workers", Type: Integer, Min: "1", Max: "1024", Without: "one for each CPU", Doc: "threads at work; without it one for each CPU"},
				{Name: "load", Type: Percent, Default: "100%", Min: "1%", Max: "100%", Doc: "the part of its time that each worker is busy"},
			},
			Needs: []target.Capability{target.CanHost, target.CanInspect}, Duration: DurationRequired, Loads: true, Silences: true,
			Proof: "at least half of the CPU time asked for is used, or a tenth of it if less than a tenth of the machine is idle",
			Onset: cpuOnset,
			New:   newCPUStress, Revert: revertHosted,
		},
		{
			Name:   "cpu.limit",
			Doc:    "Lets the instance have less CPU time than it has now: what it would use beyond that it waits for. Its own limit is given back at the end.",
			Params: []Param{{Name: "cpus", Type: Number, Required: true, Min: "0.01", Doc: "so many processors' time; it must be less than what the instance may use now"}},
			Needs:  []target.Capability{target.CanLimit, target.CanInspect}, Duration: DurationRequired, Silences: true,
			Proof: "the limit is read back, and the instance has to wait for it meanwhile",
			New:   newCPULimit, Revert: revertLimit,
		},
		{
			Name: "memory.stress",
			Doc:  "Fills memory in a process of its own, charged to the instance's own cgroup where one can be had: beyond its limit the kernel kills one of them.",
			Params: []Param{
				{Name: "size", Type: Bytes, Required: true, Min: "1MiB", Doc: "how much, resident; where the service has no limit of its own, at most what the machine has to spare"},
				{Name: "rate", Type: Rate, Min: "1MiB/s", Without: "at once", Doc: "how fast; without it at once"},
				{Name: "victim", Type: Text, Choices: []string{agent.VictimService, agent.VictimStressor}, Without: "the kernel chooses", Doc: "whom the kernel kills when memory runs out; without it the kernel chooses. If it is the stressor, the fault is over and proves nothing. Where the service has no limit of its own it is always the stressor"},
			},
			Needs: []target.Capability{target.CanHost, target.CanInspect}, Duration: DurationRequired, Silences: true,
			Proof: "at least 90% of the size is resident, or the kernel has killed for memory; a load that was killed while the service lives on is felt no more",
			Onset: memoryOnset,
			New:   newMemoryStress, Revert: revertMemory,
		},
		{
			Name:   "memory.limit",
			Doc:    "Lets the instance have less memory than it has now: beyond that the kernel takes files from its memory and, where that is not enough, kills it. Its own limit is given back at the end.",
			Params: []Param{{Name: "size", Type: Bytes, Required: true, Min: "6MiB", Doc: "how much, swap included; it must be less than what the instance may use now, and more than what it cannot do without"}},
			Needs:  []target.Capability{target.CanLimit, target.CanInspect}, Duration: DurationRequired, Silences: true,
			Proof: "the limit is read back, and the instance meets it meanwhile: it uses at least 90% of it, wants more, or is killed for it",
			Onset: memoryLimitOnset,
			New:   newMemoryLimit, Revert: revertLimit,
		},
		{
			Name: "disk.fill",
			Doc:  "Takes the room of a file system that is the instance's own, such as a tmpfs with a size, so that writes meet a real ENOSPC. One that others use as well is refused.",
			Params: []Param{
				{Name: "path", Type: Path, Required: true, Doc: "a directory inside the instance; the file system that it lies on is filled"},
				{Name: "size", Type: Bytes, Min: "4KiB", Instead: "leave", Doc: "how much is taken, once: what the instance frees meanwhile it can use"},
				{Name: "leave", Type: Bytes, Without: "nothing", Instead: "size", Doc: "how much is left, instead of size: what the instance frees beyond that is taken as well; without both nothing is left"},
			},
			Needs: []target.Capability{target.CanHost, target.CanFill, target.CanInspect}, Duration: DurationRequired,
			Proof:    "so much is taken, by the file system's own count; where nothing is left, a write meets ENOSPC",
			Together: checkFill,
			New:      newDiskFill, Revert: revertHosted,
		},
		{
			Name: "disk.readonly",
			Doc:  "Makes a directory of the instance read-only, for it alone: who opens a file there to write, or makes or removes one, meets a real EROFS. What is open already can still be written to.",
			Params: []Param{
				{Name: "path", Type: Path, Required: true, Doc: "a directory inside the instance, other than /, with all that is in it but what is mounted below it"},
				{Name: "open", Type: Text, Default: openNone, Choices: []string{openNone, openAny}, Doc: "what may be open there for writing already, or be a process's working directory, without the fault being unproven, since neither meets it. any: the service is known to open or to make other files there by their names, as SQLite does outside WAL mode"},
			},
			Needs: []target.Capability{target.CanMount, target.CanHost, target.CanInspect}, Duration: DurationRequired,
			Proof:  "a write of another process with the instance's own user meets EROFS; nothing is open there for writing from before, unless open is any",
			Within: "path",
			New:    newDiskReadonly, Revert: revertDiskReadonly,
		},
		{
			Name: "db.lock",
			Doc:  "Holds the database's own lock from another process or session. SQLite: on the file; the service meets a real SQLITE_BUSY. PostgreSQL: on its tables; whoever wants one waits, for as long as its lock_timeout says, and then meets a real lock_not_available.",
			Params: []Param{
				{Name: "mode", Type: Text, Default: string(sqlitefile.Write), Choices: []string{string(sqlitefile.Write), string(sqlitefile.Exclusive)}, Doc: "write: others can read but not write; exclusive: they can do neither (SQLite: not in WAL mode)"},
				{Name: "table", Type: Text, Engine: PostgreSQL, Without: "all ordinary ones that the role may lock", Doc: "of PostgreSQL: one table, as SQL writes it; without it all ordinary ones that the role may lock"},
			},
			Needs: []target.Capability{target.CanHost, target.CanDatabase, target.CanInspect}, Duration: DurationRequired, Engines: []Engine{SQLite, PostgreSQL},
			Proof: "another process meets SQLITE_BUSY, or another session lock_not_available",
			New:   newDBLock, Revert: revertDatabaseLock,
		},
		{
			Name:  "db.readonly",
			Doc:   "Makes a SQLite database read-only for every process: the service meets a real SQLITE_READONLY. A connection that has met it stays read-only until the service opens it anew. Not in WAL mode.",
			Needs: []target.Capability{target.CanDatabase, target.CanInspect}, Duration: DurationRequired, Engines: []Engine{SQLite},
			Writes: true,
			Proof:  "another process meets SQLITE_READONLY when it writes",
			New:    newDBReadonly, Revert: revertDBReadonly,
		},
		{
			Name:   "db.corrupt",
			Doc:    "Damages tables of a SQLite database and their indexes for every process: whoever reads or writes them meets a real SQLITE_CORRUPT. No row is touched, and the damage is taken off again exactly, of the file at that path; what the service does about it meanwhile, such as making a new file, stays, and so does the damage in what it has renamed: the file, or a table that was named here.",
			Params: []Param{{Name: "table", Type: Text, Without: "all of them", Doc: "which table; without it all of them"}},
			Needs:  []target.Capability{target.CanDatabase, target.CanInspect}, Duration: DurationRequired, Engines: []Engine{SQLite},
			Writes: true, Room: true,
			Proof: "another process meets SQLITE_CORRUPT when it reads",
			New:   newDBCorrupt, Revert: revertDBCorrupt,
		},
		{
			Name:  "db.full",
			Doc:   "Fills the file system that a SQLite database lies on, with links followed, as disk.fill does: whoever makes it or its journal grow meets a real SQLITE_FULL. One that others use as well is refused.",
			Needs: []target.Capability{target.CanHost, target.CanFill, target.CanDatabase, target.CanInspect}, Duration: DurationRequired, Engines: []Engine{SQLite},
			Fills: true,
			Proof: "a write beside the database meets ENOSPC, which SQLite answers with SQLITE_FULL",
			New:   newDBFull, Revert: revertHosted,
		},
		{
			Name:  "db.terminate",
			Doc:   "Ends the sessions of all others on a PostgreSQL database; those of superusers only if its own role is one. With a duration each new one ends as well, for that long.",
			Needs: []target.Capability{target.CanDatabase, target.CanInspect}, Duration: DurationOptional, Engines: []Engine{PostgreSQL},
			Proof: "there were sessions, and the server shows none of them any more",
			New:   newDBTerminate, Revert: revertSessions,
		},
		{
			Name:   "db.exhaust",
			Doc:    "Takes connections of a PostgreSQL server until it refuses one more, and holds them: who has a connection keeps it, and nobody gets a new one, on other databases of the server either. One that somebody lets go of is taken as well.",
			Params: []Param{{Name: "leave", Type: Integer, Default: "0", Max: "1000", Doc: "how many are given back once all are taken; above 0 nothing more is taken after that, and the fault has faded once more than so many are free"}},
			Needs:  []target.Capability{target.CanDatabase, target.CanInspect}, Duration: DurationRequired, Engines: []Engine{PostgreSQL},
			Proof: "the server refuses a new connection with too_many_connections, or one more than are left",
			New:   newDBExhaust, Revert: revertSessions,
		},
	}
}

var graceParam = Param{Name: "grace", Type: Duration, Min: "1ms", Max: "10m", Without: "the service's own time", Doc: "how long it may take to end by itself before it is killed; without it the service's own time"}
