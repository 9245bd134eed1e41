# Everyday commands. `just` lists them; CONTRIBUTING.md explains them.

# List the recipes
[private]
default:
    @{{ just_executable() }} --list --unsorted

# Build the product
build *arguments:
    cargo build {{ arguments }}

# Test the product; arguments as for `cargo test`
test *arguments:
    cargo test {{ arguments }}

# Test the simulator
test-sim *arguments:
    cargo test -p simulations {{ arguments }}

# Check formatting, lints, the crate graph and module cycles
lint:
    cargo fmt --all --check
    cargo clippy --all-targets -- -D warnings
    cargo clippy -p simulations --all-targets -- -D warnings
    .ci/check-structure

# Format the code
fmt:
    cargo fmt --all

# Build the API documentation of the crates
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
    RUSTDOCFLAGS="-D warnings" cargo doc -p simulations --no-deps

# Check licences, sources and security advisories of the dependencies (needs cargo-deny)
deny:
    cargo deny --workspace check --hide-inclusion-graph

# Run everything that CI runs
ci:
    .ci/run

# Simulate many seeds with all faults
sweep seeds="0..2000":
    cargo run --release -p simulations -- sweep --seeds {{ seeds }}

# Plant every known bug in the protocol; the simulator must find each one
mutants *arguments:
    cargo run --release -p simulations -- mutants {{ arguments }}

# Compare with other load generators: closed, open, evenness or stall
bench mode="closed" *arguments:
    cargo bench --bench side_by_side -- {{ mode }} {{ arguments }}

# Replace the pictures in docs/images (needs Chromium)
screenshots:
    mkdir -p target/screenshots
    VAJRA_SCREENSHOTS=target/screenshots cargo test --test external dashboard
    for picture in docs/images/*.png; do cp "target/screenshots/$(basename "$picture")" "$picture"; done

# Run the example test on three local nodes
quickstart *arguments:
    cargo run --release -- start-test swarm-config/plans/quickstart.toml {{ arguments }}
