# What people run here most, each as CI runs it: https://just.systems. Nothing needs just; the lines below work without it.

# List the recipes
default:
    @{{ just_executable() }} --list

# Run the checks that need no control plane: formatting, lints, unit tests; about a minute
fast:
    .ci/run fast

# Run every check that a change must pass; about 25 minutes
ci:
    .ci/run

# Show everything end to end, on a control plane of its own or (--kubeconfig FILE) in a cluster of yours
quickstart *ARGS:
    cargo run --example quickstart -- {{ ARGS }}

# Run all tests, or those whose names contain NAME
test *NAME:
    cargo test {{ NAME }}

# Run the fuzz target template, url or answer until it finds something (needs cargo-fuzz and nightly Rust)
fuzz TARGET *ARGS:
    cargo +nightly fuzz run {{ TARGET }} {{ ARGS }}

# Run a bench: pipeline, rest or templates
bench NAME="pipeline" *ARGS:
    cargo bench --bench {{ NAME }} -- {{ ARGS }}

# Count what is lost, repeated or out of order while everything is killed and restarted
accounting *ARGS:
    cargo run --release -p accounting -- {{ ARGS }}

# Run for minutes beside sick endpoints, and look whether anything grows (Linux)
endurance *ARGS:
    cargo run --release -p endurance -- {{ ARGS }}

# Attack the operator and the REST API as tenants and strangers can, under a memory limit (Linux)
adversary *ARGS:
    cargo run --release -p adversary -- {{ ARGS }}

# Keep a control plane up to try things on, or run COMMAND with it
cluster *COMMAND:
    cargo run -p cluster -- {{ COMMAND }}

# Write the CRDs from their types
crds:
    cargo run -- crds --dir charts/oncall-webhooks/files/crds

# Write the chart's README from its values, and charts/kustomize from the chart
chart:
    cargo run -p cluster -- --tools .ci/chart

# Write the OpenAPI document from the handlers
openapi:
    cargo run -- openapi > docs/openapi.json

# Check licences, bans and sources of dependencies (needs cargo-deny)
deny:
    cargo deny --workspace --locked check bans licenses sources

# Format
fmt:
    cargo fmt --all
