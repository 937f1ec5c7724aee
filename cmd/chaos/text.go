package main

// All that the command line says stands here, so that it can be read aloud in one go. Problems in files are worded by the stages that find them.

// What the program is.
const (
	textRootShort = "chaos decides, before code ships, whether a system survives failure"
	textRootLong  = `Chaos decides, before code ships, whether a system survives failure. It runs experiments: it measures a steady state, injects real
faults, looks with PromQL and probes whether the system holds, rolls everything back and says whether the deployment gate is OPEN or CLOSED.

Exit codes: 0 gate open, 1 a check failed, 2 wrong usage, 3 invalid experiment or configuration (nothing was touched), 4 inconclusive,
5 could not be carried out, 6 rollback incomplete, 129, 130 and 143 interrupted after rollback.`
	textRootExample = `  chaos run experiments/*.yaml
  chaos validate experiments/*.yaml
  chaos plan experiments/network-latency.yaml`
	textSeeHelp       = "see `chaos help`"
	textSeeHelpOf     = "see `chaos help %s`"
	textHelpShort     = "help about a command"
	textNoCommand     = "there is no command %q"
	textBadFlag       = "%s is %q, which is not a value that it takes"
	textOneJournal    = "name one journal, for example reports/<run id>"
	textOneSchema     = "name a schema: experiment, config or report"
	textUnknownFormat = "there is no format %q here, only %s"
	textUnknownSchema = "there is no schema %q, only %s"
)

// Each command's help.
const (
	textRunShort = "run experiments and decide whether the gate opens"
	textRunLong  = `Run carries out experiments: the steady state of each is measured, its faults are injected, its checks are judged, and everything is rolled back,
whatever happens. On local processes each gets its own fresh environment; on Compose all share the project that runs, one after the other, unless
--jobs or --weakened gives each its own. The reports of all formats go to reports/<run id>/ unless --output says otherwise.

FILES are experiments, folders of them, or patterns. The first ^C rolls back and ends; the second ends at once, and what is left is undone by a
guard process, or by ` + "`chaos rollback`" + `.`
	textRunExample = `  chaos run experiments/*.yaml
  chaos run experiments --jobs 4 --only 'network-*'
  chaos run experiments/service-kill.yaml --seed 42
  chaos run experiments/*.yaml --output html --output json=-
  chaos run experiments/network-latency.yaml --weakened no-timeout      # must close the gate
  chaos run experiments/*.yaml --dry-run`

	textProveShort = "show that the gate can close: run the negative controls of experiments"
	textProveLong  = `Prove runs experiments that are changed on purpose, and sees that each closes the gate for the right reason: without the fault its effect must be
missed, without metrics it must be INCONCLUSIVE, with a limit that nothing keeps it must FAIL, and in the weakened variants of the environment that name it
under closes it must FAIL too. A check that cannot fail protects nobody. A name under closes that none of the experiments has is shown
as well, with the one that is probably meant.

It ends with exit code 0 only if every control has closed the gate. What each came to is kept in reports/proof.json, its evidence in the runs' own folders.`
	textProveExample = `  chaos prove experiments/*.yaml --jobs 3
  chaos prove experiments/service-kill.yaml --seed 2`

	textValidateShort = "check experiments and the configuration; nothing is touched"
	textValidateLong  = `Validate reads the experiments and chaos.yaml, and shows all problems of all files at once, each with its line.
It also plans each experiment for the environment, so that what the environment cannot do is found before anything runs.`
	textValidateExample = `  chaos validate experiments/*.yaml
  chaos validate experiments --env local
  chaos validate experiments/*.yaml --output sarif > problems.sarif`

	textPlanShort = "show what a run would do, decided to the last detail"
	textPlanLong  = `Plan prints every decision of a run: targets, faults with their parameters, what is sent, queries, limits and where they come from, the defaults that
were taken, the order of the steps, the critical path and how long it takes. Nothing is touched.`
	textPlanExample = `  chaos plan experiments/network-latency.yaml
  chaos plan experiments/service-kill.yaml --seed 42
  chaos plan experiments/network-latency.yaml --output mermaid`

	textRollbackShort = "undo what a run has left behind"
	textRollbackLong  = `Rollback undoes what a journal lists as not undone, the newest first, and verifies each. Without a journal it does so for every run of the
reports folder that has died. It refuses while the run is still going.`
	textRollbackExample = `  chaos rollback
  chaos rollback reports/20261123-191503-k3f9/journal.jsonl`

	textVerdictShort = "judge a journal again"
	textVerdictLong  = `Verdict recomputes from the journal alone what a run came to, and ends with the exit code of that run.`

	textVerdictExample = `  chaos verdict reports/20261123-191503-k3f9/journal.jsonl
  chaos verdict reports/20261123-191503-k3f9 --output json`

	textReportShort = "write the reports of a journal again"
	textReportLong  = `Report writes the reports of a run from its journal alone, to the folder of the journal unless --output says otherwise.`

	textReportExample = `  chaos report reports/20261123-191503-k3f9/journal.jsonl
  chaos report reports/20261123-191503-k3f9 --output html=run.html --output json=-`

	textSchemaShort = "print a JSON Schema"
	textSchemaLong  = `Schema prints the JSON Schema (draft 2020-12) of a file format, for editors and other tools.`

	textSchemaExample = `  chaos schema experiment > experiment.schema.json`

	textEnvShort = "start, end or show an environment of containers"
	textEnvLong  = `Env starts, ends or shows the Compose project of an environment with target docker. A run finds the project and leaves it running; it can be
started by any other means as well: its containers are found by the labels that Compose gives them.`
	textEnvExample = `  chaos env up --env compose
  chaos env status --env compose
  chaos env down --env compose --volumes`
	textEnvUpShort     = "start the project with Compose and wait until its services are ready"
	textEnvDownShort   = "end the project with Compose; its volumes are kept"
	textEnvStatusShort = "show the instances: where they are and whether they are ready"

	textVersionShort = "print the version"
)

// The flags.
const (
	textEnvFlag           = "environment of chaos.yaml (default: its first)"
	textConfigFlag        = "the project's configuration (default: chaos.yaml here or in a folder above)"
	textSeedFlag          = "seed of the random picks (default: a random one, which is printed and stored)"
	textPlanSeedFlag      = "seed of the random picks (default 0; a run draws its own unless --seed is given)"
	textJobsFlag          = "experiments at once, each in its own environment"
	textOnlyFlag          = "only experiments with this name; * and ? match any; repeatable"
	textOutputFlag        = "report to write, FORMAT or FORMAT=PATH (- is stdout): %s; repeatable (default: all, to the run's folder)"
	textReportsFlag       = "folder of the reports"
	textQuietFlag         = "say only what the run came to"
	textDryRunFlag        = "everything but injection: the gate stays closed"
	textWeakenedFlag      = "run with a weakened variant of the environment, which must close the gate"
	textRollbackFlag      = "first roll back earlier runs that have left something behind"
	textNoColorFlag       = "no colours (also: NO_COLOR)"
	textPlanOutputFlag    = "text, json or mermaid"
	textCheckOutputFlag   = "text, json or sarif"
	textVerdictOutputFlag = "text or json"
	textVolumesFlag       = "remove the project's volumes, with what is in them"
)

// Files and the project.
const (
	textNoFile           = "%s: %s"
	textNotThere         = "there is no such file"
	textEmptyFolder      = "there is no .yaml file in this folder"
	textBadPattern       = "%q is not a pattern"
	textNoMatch          = "no file matches this pattern"
	textThereIs          = "in that folder there is: %s"
	textNoConfig         = "there is no chaos.yaml in %s or in a folder above it"
	textNoConfigHint     = "go to the project's folder, or name the file with --config"
	textNothingSelected  = "no experiment is called %s"
	textThereAre         = "there is: %s"
	textProblems         = "nothing was touched"
	textNoEnvironment    = "there is no environment %q; there is %s"
	textNoTarget         = "environment %s is of target %q, which this version cannot run; it can run %s"
	textNoVariant        = "environment %s has no weakened variant %q; there is %s"
	textNoVariants       = "environment %s has no weakened variants"
	textUndoTarget       = "undo %s: this version does not know the target %q"
	textUndoKind         = "undo %s: this version does not know how to undo %q"
	textAllValid         = "%s, %s for environment %s: valid\n"
	textOnlyOnePlan      = "a mermaid diagram shows one experiment; name one with --only"
	textOutputNoPath     = "--output %s names no path"
	textOutputTwice      = "both %s and %s are to be written to stdout"
	textOutputHint       = "write --output FORMAT, --output FORMAT=PATH or --output FORMAT=-"
	textOutputFolder     = "the report %s cannot be written: there is no folder %s"
	textOutputFolderHint = "make the folder, or name another path"
	textOutputIsFolder   = "the report %s cannot be written: %s is a folder"
	textReports          = "the reports folder %s cannot be written: %s"
	textReportsHint      = "make it writable, or name another one with --reports"
	textNotKept          = "the run is over, but not all of it could be kept or cleared away: %w"
	textNotKeptHint      = "what the journal holds can be shown again with `%s report %s`"
	textIsConfig         = "this is the project's configuration, which every command checks; name experiments"
	textNoJournal        = "there is no journal %s"
	textWrote            = "wrote %s: %s"
	textJournalHint      = "a journal is reports/<run id>/journal.jsonl"
)

// Environments that run on their own.
const (
	textUpFlag        = "start the environment's Compose project first, and end it afterwards, unless something of it is there already"
	textKeepFlag      = "with --up: leave the project running"
	textKeepWithoutUp = "--keep leaves running what --up has started, and there is no --up"
	textUpAlready     = "something of environment %s is there already: it is left as it is, before and after"
	textUpLeft        = "environment %[1]s is left running: when nothing is left to undo, `chaos env down --env %[1]s` ends it"
	textCannotUp      = "environment %s could not be started: %w"
	textCannotDown    = "environment %s could not be ended: %w"
	textInUse         = "environment %s: a run of this machine is at work on the Compose project %q, or somebody starts or ends it"
	textInUseHint     = "wait until that has ended, or end the run with ^C"
	textDownHint      = "end it with `chaos env down --env %s`"

	textNoStack      = "environment %s is started by each experiment for itself: there is nothing to start, end or show"
	textNoStackHint  = "name an environment with target docker: --env NAME"
	textNoArguments  = "env %s takes no argument, but got %q"
	textEnvReady     = "ready"
	textEnvProtected = "protected"
	textEnvNotReady  = "%d of %d instances are not ready"
)

// How a run begins.
const (
	textBuilding         = "building %s"
	textBuilt            = "built in %s"
	textBuildHint        = "the services must build before anything is run"
	textRunStarts        = "run %s: %s, environment %s, seed %d"
	textRunDry           = ", dry run: nothing is injected"
	textRunWeakened      = ", weakened: %s"
	textRunJobs          = ", %d at once"
	textRunCrowded       = " on %d processors (what they cannot carry is left undecided)"
	textRunControl       = ", control %s: the gate must close"
	textCannotStart      = "the run could not be started: %w"
	textProgramsLeft     = "the programs that were copied for the run could not be removed: %w"
	textNotStarted       = "interrupted by %s before anything was started"
	textRunFailed        = "the run had to be given up: %v\n"
	textJobsTooFew       = "--jobs is %d, expected at least 1"
	textJobsMixed        = "environment %s: a Prometheus server cannot tell the services of several experiments apart"
	textJobsMixedHint    = "run them one after the other, or let the server find them with `prometheus: {discovery: FOLDER}`"
	textUpApart          = "--up starts what experiments share, but with --jobs and --weakened each has a project of its own, started and ended with it"
	textUpApartHint      = "leave out --up"
	textWeakenedReplaced = "%s holds ${...}, but in a container's variables nothing is replaced"
	textFilesMissing     = "name the experiments"
	textFilesHint        = "for example `%s %s experiments/*.yaml`"
)

// How a run ends early.
const (
	textInterrupted      = "%s: rolling back; press ^C again to stop at once"
	textInterruptedEarly = "%s: stopping"
	textStopped          = "stopped at once by a second %s; a guard process goes on undoing what is left: %s"
	textStoppedClean     = "stopped at once by a second %s; nothing is left to undo but the processes, which end with this one"
	textStoppedHint      = "see that nothing is left with `%s rollback %s`"
	textByHand           = "to undo it by hand:"
	textUnverified       = "whether everything was taken back cannot be seen, because the journal cannot be read: %w"
	textUnverifiedHint   = "the environment was taken down before the run ended, as far as that went; look for processes with CHAOS_ENVIRONMENT in their environment and for folders chaos-* among the temporary files"
	textLeft             = "the environment is not clean: %s"
	textLeftHint         = "try again with `%s rollback %s`"
	textDirty            = "the earlier run %s has died and left something behind: %s"
	textDirtyHint        = "undo it with `%[1]s rollback %[2]s`, or run again with --rollback"
	textGuardBusy        = "the guard of the earlier run %s is still undoing what it has left behind"
	textGuardBusyHint    = "wait a moment and try again"
	textGuardDied        = "the guard process, which undoes what a killed run leaves, died and was replaced by another"
	textGuardLost        = "the guard process, which undoes what a killed run leaves, died and could not be replaced: %w"
	textGuardsLost       = "the guard process, which undoes what a killed run leaves, died %d times: something kills it"
	textRunnerAlive      = "run %s is still going; only a run that has ended can be rolled back"
	textRunnerAliveHint  = "end it first: ^C in its terminal, or kill -INT %d"
	textUndone           = "undone: %s"
	textRollbackFailed   = "run %s could not be rolled back: %w"
	textNothingToUndo    = "nothing is left to undo in %s\n"
	textNotForgotten     = "nothing is left to undo of run %s, but not all that it has on disk could be removed: %w"
	textNotForgottenHint = "remove that yourself: nobody needs it any more"

	textRollingBackEarlier = "rolling back the earlier run %s"
)

// How a run goes; the step comes first, then what happened.
const (
	textEnvironmentStarts  = "starting its environment"
	textEnvironmentUp      = "environment ready in %s"
	textEnvironmentNotDown = "environment not taken down: %s"
	textSteady             = "steady state: observing for %s"
	textRecovery           = "recovery: the steady state must hold again within %s"
	textExited             = "%s ended by itself: %s"
	textRestarted          = "%s is ready again after %s"
	textCheck              = "%[3]s: %[1]s %[2]s: %[4]s"
	textActive             = "%s active: %s"
	textNoEffect           = "%s without proven effect: %s"
	textEffectLost         = "%s lost its effect: %s"
	textReverted           = "%s reverted: %s"
	textNotReverted        = "%s NOT REVERTED: %s"
	textStep               = "%s %s: %s"
	textStepNotDone        = "%s %s: %s"
	textAborted            = "aborted, rolling back: %s"
	textFinding            = "finding: %s"
	textRecovered          = "recovered after %s"
	textNotRecovered       = "not recovered: %s"
	textNotUndone          = "could not undo %s: %s"
	textEnded              = "ended"
	textEndedAs            = "%s in %s"
)

// What the controls came to.
const (
	textProveKept      = "\nkept in %s\n"
	textProveNoReason  = "every check held"
	textProveNoVariant = "no weakened variant of the environment is declared to close it"
	textProveAbsent    = "%s closes %s, and none of these experiments is called so"
	textProveMeant     = " (%s)"
	textProveOpen      = "not every control has closed the gate"
	textProveOpenHint  = "%s did not in the control %s; see run %s"
)

// The live view.
const (
	textLaneSummary  = "%d of %d experiments done, %s elapsed, about %s to go"
	textLaneStarts   = "starting its environment"
	textLaneUp       = "environment ready"
	textLaneStepRuns = "%s for %s"
)

// What a run came to.
const (
	textGateOpen        = "%s  every check of %s passed, every fault was proven and every revert verified  (run %s, seed %d)\n"
	textGateOpenBare    = "%s  every check of %s passed, but no fault was injected, so nothing is shown about failure  (run %s, seed %d)\n"
	textGateClosed      = "%s  %s  (run %s, seed %d)\n"
	textTook            = "took %s, expected %s"
	textTookRecovery    = ", recovered in %s"
	textRecoveredAtOnce = ", recovered at once"
	textNeverEnded      = "did not end"
	textReportsIn       = "journal, logs and reports: %s\n"
)

// What leads out of the project.
const (
	textLeadsOut       = "it leads out of the project through a symbolic link, to %s"
	textFolderLeadsOut = "%s leads out of the project through a symbolic link, to %s"
	textStrangeJournal = "the journal of the earlier run %s leads out of %s through a symbolic link, to %s"
)

// Secrets.
const (
	textSecretMissing     = "the secret %s is not there: the environment variable %s is not set"
	textSecretShort       = "the secret %s, of the environment variable %s, is shorter than %d characters"
	textCredentialShort   = "the credential in the environment variable %s is shorter than %d characters"
	textSecretShortHint   = "it could not be kept out of reports without taking half of every text with it: choose a longer one"
	textSecretWritten     = "the value of the secret %s stands in this experiment"
	textSecretWrittenHint = "write ${secret.NAME}, where a secret is allowed; if it stands there by chance, choose a secret that is no word"
)
