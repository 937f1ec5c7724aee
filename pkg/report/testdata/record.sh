#!/bin/sh
# Records the journals of this folder anew, by real runs: when the verdict asks for evidence that the recorded ones do not have. Run it from the repository's root;
# it takes about a minute. Look at what changed before it is committed: the tests know the steps and the limits of these experiments.
set -eu
out=pkg/report/testdata
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/chaos" ./cmd/chaos

# keep takes out what is of one machine: the host, and the paths of its cgroups.
keep() {
	sed -E -e 's/"host":"[^"]*"/"host":"linux 6.12.0 amd64, 2 cores"/' -e 's/"cgroups":\[[^]]*\]/"cgroups":[]/' "$work/$1"/*/journal.jsonl >"$work/$1.jsonl"
}

# active waits until the fault of a run is proven active, by its journal, for at most a minute.
active() {
	for _ in $(seq 600); do
		if grep -qs '"type":"fault.active"' "$work/$1"/*/journal.jsonl; then return; fi
		sleep 0.1
	done
	echo "the run $1 never had a fault" >&2
	exit 1
}

"$work/chaos" run experiments/service-kill.yaml --seed 7 --reports "$work/passed" --quiet
keep passed
"$work/chaos" run experiments/network-latency.yaml --seed 7 --weakened no-timeout --reports "$work/failed" --quiet && exit 1
keep failed
for end in "INT interrupted" "KILL killed"; do
	signal=${end% *} name=${end#* }
	"$work/chaos" run experiments/network-latency.yaml --seed 7 --reports "$work/$name" --quiet &
	runner=$!
	active "$name"
	kill -s "$signal" "$runner"
	wait "$runner" || true
	for _ in $(seq 100); do # the guard of a killed runner ends its environment
		if tail -1 "$work/$name"/*/journal.jsonl | grep -qE '"type":"(run.ended|undo.done)"'; then break; fi
		sleep 0.1
	done
	keep "$name"
done
mv "$work"/*.jsonl "$out" # at the end: the journals say whether the checkout had changes
ls -l "$out"
