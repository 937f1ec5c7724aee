# Nothing but Go is needed; the images need Docker.
export CGO_ENABLED ?= 0

BIN := bin/chaos
EXPERIMENTS ?= experiments/*.yaml
# Packages in which goroutines meet: tested with the race detector, which needs a C compiler.
RACE := ./cmd/... $(addprefix ./pkg/,agent dag executor fault/... guard impair intercept journal mask metrics probe progress proc target/... traffic)
# How long each fuzz target runs, and which ones: a regular expression.
FUZZTIME ?= 1m
FUZZ ?= .

# Of `make killed`: the part of its kills, and the seed of their moments (0 draws one).
SHARE ?= 1
SEED ?= 0

.PHONY: all build test race run weakened killed repeated compose fuzz lint generate bench bench-peers images clean

all: build

build: ## the command, and both services
	go build -o bin/ ./cmd/chaos ./services/service-a ./services/service-b

test:
	go test -p 1 -timeout 30m ./...

race:
	CGO_ENABLED=1 go build -race $(RACE) # on all processors: -p 1 is for tests, that measure, and would be for this as well
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=50 go test -p 1 -timeout 30m -race $(RACE) # every process waits a second at its end otherwise, for reports of races that are being written

fuzz: ## every fuzz target there is
	.ci/fuzz $(FUZZTIME) '$(FUZZ)'

run: build ## the main job
	$(BIN) run $(EXPERIMENTS)

weakened: build ## an experiment that must close the gate
	.ci/weakened $(BIN)

killed: ## runs of the shipped experiments, killed in every way at random moments: nothing may be left; half an hour
	go test ./experiments -run TestKilledAtAnyMoment -v -timeout 2h -args -killed.share $(SHARE) -killed.seed $(SEED) -killed.within 3s

repeated: ## the shipped experiments a hundred times, and thirty times with a busy processor: nothing but PASS is true; over two hours and a half
	go test ./experiments -run TestTheGateIsNotFlaky -v -timeout 3h -args -repeated.times 100
	go test ./experiments -run TestTheGateIsNotFlaky -v -timeout 3h -args -repeated.times 30 -repeated.busy 1

compose: ## every experiment on the project's own Compose file, a hundred kills there at random moments, and forty ends of an engine; three quarters of an hour, needs Docker
	go test ./experiments -run 'OnCompose$$|TheEngineEnds$$' -v -timeout 1h -args -compose.runs all
	go test ./experiments -run TestKilledOnCompose -v -timeout 2h -args -compose.kills 100
	go test ./experiments -run TestTheEngineEndsAtAnyMoment -v -timeout 2h -args -compose.engine-kills 40

lint:
	.ci/lint

generate:
	go generate ./...

bench:
	go test -run '^$$' -bench . -benchmem ./...

bench-peers: ## faults on containers beside Toxiproxy and the engine's own calls; needs Docker
	go test ./pkg/impair -run '^$$' -bench DelayError -benchtime 300x
	go test ./pkg/impair -run '^$$' -bench Stream -benchtime 8x
	go test ./pkg/target/docker -run TestOnset -v -args -onset.times 15

images: ## what docker-compose.yml starts: static binaries on nothing
	mkdir -p bin/images/data
	CGO_ENABLED=0 go build -trimpath -o bin/images/ ./services/service-a ./services/service-b
	docker build -t chaosgate/service-a:dev --build-arg SERVICE=service-a -f services/Dockerfile bin/images
	docker build -t chaosgate/service-b:dev --build-arg SERVICE=service-b -f services/Dockerfile bin/images

clean:
	rm -rf bin .chaos
	find reports -mindepth 1 ! -name README.md -delete 2>/dev/null || true
