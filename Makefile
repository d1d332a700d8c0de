# Everything a person or CI needs, on a Debian with nothing but the Rust toolchain.
# The install scripts are quick when there is nothing to do.

.PHONY: demo test night bench deb lint fmt docs clean servers clients

# A pile-up, and the top of the hour, on private servers, each first without Tidegate and then with it:
# MariaDB, or with `make demo engine=postgres` PostgreSQL.
engine = mysql
demo: servers
	cargo run --release --quiet -- demo $(engine) --html $${CARGO_TARGET_DIR:-target}/demo.html

# Everything, against real servers and all clients.
test: servers clients
	cargo build --workspace --bins --tests
	cargo test --workspace --no-fail-fast

# What searches, in full size and with seeds of its own: four servers, some hours. One of them with
# engine=mariadb, mysql, postgres or postgres18.
night: servers clients
	cargo build --workspace --bins --tests
	scripts/night.sh $(if $(filter file,$(origin engine)),,$(engine))

# Side by side with a direct connection, a bare forwarder, HAProxy and PgBouncer: about an hour.
bench: servers clients
	cargo build --release --workspace --bins
	cargo run --release --quiet --package tidegate-benches -- all

# A Debian package, in target.
deb:
	cargo build --release
	scripts/build-deb.sh

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fmt:
	cargo fmt --all

docs:
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

# What was installed for the tests goes too; system packages stay.
clean:
	cargo clean
	rm -rf .tidegate

servers:
	@scripts/install-servers.sh

clients: servers
	@scripts/install-clients.sh
	@scripts/install-sinks.sh
	@scripts/install-browser.sh
	@scripts/install-mariadb.sh
	@scripts/install-mysql.sh
	@scripts/install-pgbouncer.sh
	@scripts/install-postgresql.sh
	@scripts/install-prometheus.sh
