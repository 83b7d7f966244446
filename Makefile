# Thin: each target says what to run, the scripts know how.

.DEFAULT_GOAL := help
.PHONY: help demo serve test check lint fmt doc bench budgets simulate chaos

help: ## what there is
	@awk -F':.*## ' '/^[a-z]+:.*## /{ printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the example over this repository's own history, start to result
	@scripts/demo

serve: ## keep a server running (data in ./neena-data), the example integration registered
	@cargo build --workspace --bin neena
	@exec $${CARGO_TARGET_DIR:-target}/debug/neena serve --integrations examples/commit_digest

test: ## everything that is tested; installs what is missing (Debian, as root)
	@scripts/test

check: ## the fast loop: compile and test the rules
	@cargo check --workspace --all-targets
	@cargo test -p neena-engine --quiet

lint: ## format and lints, as CI has them
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings

fmt: ## format all code
	@cargo fmt --all

doc: ## the code's documentation, in target/doc
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

bench: ## measure everything beside this machine's own floor, and others beside us (docs/performance.md); SOAK=10 for ten minutes more
	@scripts/bench $(if $(SOAK),--soak $(SOAK))

budgets: ## instructions of the hot paths, beside what they may take; UPDATE=1 writes the counts of now down
	@scripts/budgets $(if $(UPDATE),--update)

simulate: ## 100,000 seeds of whole workers with every fault there is; SEEDS=1000, SEED=7 for one, traced
	@cargo build --release --workspace --bins
	@$${CARGO_TARGET_DIR:-target}/release/neena-simulate $(if $(SEED),--seed $(SEED) --trace,$(if $(SEEDS),--seeds $(SEEDS)))

chaos: ## break real processes and check their promises; ROW=9, SHORT=1, CONTROLS=1 (chaos/README.md)
	@scripts/chaos $(ROW) $(if $(SHORT),--short) $(if $(CONTROLS),--controls)
