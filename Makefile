# `make` prints what there is. Needs Go and make; see README.md.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMANDS = lars-dns lars-reporter lars-agent lars

# Flags of `go test`, as in: make test TESTFLAGS='-run Push -v'
TESTFLAGS ?=
# How long `make fuzz` works on each decoder, and `make bench` on each case.
FUZZTIME  ?= 10s
BENCHTIME ?= 1s
# How long `make soak` goes on.
SOAKTIME  ?= 10m

PROTO = larspb/lars.proto
LDFLAGS = -s -w -X main.version=$(VERSION)

.DEFAULT_GOAL := help
.PHONY: help build demo test race test-cluster soak lint fuzz bench generate balancing fresh module-path goproxy check check-all clean
.DELETE_ON_ERROR:

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## put lars-dns, lars-reporter, lars-agent and lars into bin/, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(COMMANDS:%=./cmd/%)

demo: build ## run the whole system for half a minute and show what it does
	@CGO_ENABLED=0 $(GO) build -o bin/lars-demo ./demo
	@exec bin/lars-demo -bin bin

test: ## run all tests; installs MariaDB for them if there is none
	@tools/mariadb.sh
	$(GO) test $(TESTFLAGS) ./...

race: ## run all tests under the race detector
	@$(MAKE) --no-print-directory test TESTFLAGS='-race -timeout 14m $(TESTFLAGS)'

test-cluster: ## run the tests on a Galera cluster, which take two minutes; installs it
	@tools/mariadb.sh cluster
	LARS_TEST_CLUSTER=1 $(GO) test -p 1 -count 1 -run Cluster $(TESTFLAGS) ./internal/testdb ./cmd/e2e

soak: ## ten minutes of mixed churn on the reactor, SOAKTIME=10m, under the race detector
	$(GO) test -race -count 1 -run '^TestSoak$$' -timeout 30m -v ./reactor -args -soak $(SOAKTIME)

lint: ## gofmt, go vet, staticcheck, tidy go.mod
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...

fuzz: ## fuzz every decoder, FUZZTIME=10s each
	@tools/fuzz.sh $(FUZZTIME)

bench: ## run the benchmarks of all packages, BENCHTIME=1s each
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

generate: ## make the generated files anew: messages, docs/commands.md, docs/metrics.md
	cd tools && $(GO) run ./protogen ../$(PROTO) ../$(dir $(PROTO))
	$(GO) test ./cmd/lars -run '^TestCommandsDocumented$$' -update
	$(GO) test . -run '^TestFinding33MetricsDocumented$$' -update

balancing: ## measure the tables of docs/balancing.md and draw its pictures anew, some minutes
	$(GO) test ./sim -run '^TestBalancingPage$$' -count 1 -timeout 60m -update

fresh: # the generated messages are what the generator makes; tests look after the rest
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	(cd tools && $(GO) run ./protogen ../$(PROTO) "$$dir") && \
	diff -u larspb/lars.pb.go "$$dir/lars.pb.go" || \
	{ echo "larspb/lars.pb.go is not what larspb/lars.proto makes: run make generate" >&2; exit 1; }

module-path: ## rename the module, MODULE=example.com/lars: go.mod files, imports, messages
	@test -n '$(MODULE)' || { echo 'name it: make module-path MODULE=example.com/lars' >&2; exit 1; }
	cd tools && $(GO) run ./modulepath '$(MODULE)' ..
	cd tools && $(GO) run ./protogen ../$(PROTO) ../$(dir $(PROTO))

goproxy: ## write the commit that is checked out into a folder that go takes as GOPROXY, DIR=/srv/goproxy
	@test -n '$(DIR)' || { echo 'name the folder: make goproxy DIR=/srv/goproxy' >&2; exit 1; }
	cd tools && $(GO) run ./goproxy .. '$(abspath $(DIR))'

check: build lint fresh ## all that CI asks for
	GOOS=darwin $(GO) build ./client
	GOOS=windows $(GO) build ./client
	$(GO) test -run DoNotAllocate ./client # skipped under the race detector, whose pools forget
	$(GO) test ./sim # its tables are skipped under the race detector, where they take ten times as long
	@$(MAKE) --no-print-directory race

check-all: check ## the same, and all bounds of docs/balancing.md, some minutes more
	LARS_TEST_BALANCING=1 $(GO) test ./sim -run '^TestTables$$' -count 1 -timeout 60m

clean: ## remove bin/ and what tests and profiles left
	rm -rf bin
	find . -name '*.test' -o -name '*.prof' -o -name '*.out' | xargs -r rm -f
