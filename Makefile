# "make" lists the targets.
.DEFAULT_GOAL := help

# The OIDC library traces through OpenTelemetry unless told otherwise; without it, the binary is smaller
# by 24 packages that nothing here configures.
TAGS  := -tags no_otel
# The compiled templates call the same few functions for every word of a page. Without inlining the package is half the
# size, the binary a megabyte smaller, and no page slower.
SMALL := -gcflags=github.com/anyid/anyid/internal/pages=-l
BUILD := CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" $(SMALL) $(TAGS)
# What verifies proofs of identity, and what opens key files.
PROOFS := ./internal/authn/jointcert ./internal/authn/mobileid ./pkg/npki ./pkg/oid4vp ./pkg/oid4vp/sdjwt ./pkg/oid4vp/mdoc
TOOL  := go tool -modfile=.ci/tools/go.mod
COMPILED := internal/pages/*_templ.go

.PHONY: help build demo test lint bench fuzz packages

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/anyid and bin/anyid-demo, static
	$(BUILD) -o bin/ ./cmd/anyid ./cmd/anyid-demo

demo: ## run the service, the simulators and the demo sites on this machine (flags: ARGS=...)
	$(BUILD) -o bin/ ./cmd/anyid-demo
	bin/anyid-demo $(ARGS)

# The play of everything, with browsers, servers and people, has the machine to itself.
test: packages ## run all tests with the race detector; installs Debian packages that are missing
	go test $(TAGS) -race -timeout 30m $$(go list $(TAGS) ./... | grep -v /internal/stage$$)
	go test $(TAGS) -race -timeout 30m ./internal/stage

lint: ## go vet, gofmt, templ, golangci-lint; with GOVULNCHECK=1 also known vulnerabilities (needs vuln.go.dev)
	go vet $(TAGS) ./...
	@unformatted=$$(gofmt -l cmd internal $(wildcard pkg)); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }
	@before=$$(cat $(COMPILED) | cksum); go generate ./internal/pages; test "$$before" = "$$(cat $(COMPILED) | cksum)" || { echo "internal/pages/*_templ.go were not those of the templates; now they are"; exit 1; }
	$(TOOL) templ fmt -fail internal/pages
	$(TOOL) golangci-lint run --allow-parallel-runners
	$(if $(filter 1,$(GOVULNCHECK)),go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 $(TAGS) ./...)

bench: packages ## measure the service on each store (flags: ARGS=...), and what proofs of identity cost
	$(BUILD) -o bin/ ./cmd/anyid ./cmd/anyid-bench
	bin/anyid-bench $(ARGS)
	go test $(TAGS) -run '^$$' -bench '^Benchmark(Verify|Answer|MIP|ParsePrivateKey|ParsePFX)$$' $(PROOFS)
	go test $(TAGS) -run '^$$' -bench '^BenchmarkFirstSignature$$' -benchtime 5x ./internal/pages

fuzz: ## run every fuzz test for FUZZTIME (10s)
	.ci/fuzz $(FUZZTIME)

packages:
	@.ci/packages
