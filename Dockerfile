# The program alone, on a small Debian, as a user who may do nothing.
#
#   docker build --tag tidegate .
#   docker run --volume ./tidegate.toml:/etc/tidegate/tidegate.toml:ro --publish 3307:3307 --stop-timeout 45 tidegate
#
# In the configuration a [[listener]] has to be open to other hosts ("0.0.0.0:3307"), as its clients are outside of the
# container. [admin] stays on the loopback of the container, where the health check asks; `docker exec NAME tidegate top` does
# too. The scheduler runs from the same image: `docker run … tidegate scheduler`.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package tidegate \
    && strip --strip-debug target/release/tidegate

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/target/release/tidegate /usr/bin/tidegate
USER 65532:65532
# Another admin.address, its token and its authority: TIDEGATE_ADMIN, TIDEGATE_ADMIN_TOKEN_FILE, TIDEGATE_ADMIN_CA.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["tidegate", "status"]
# SIGTERM drains; --stop-timeout has to be longer than guard.drain_timeout.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tidegate"]
CMD ["guard", "-c", "/etc/tidegate/tidegate.toml"]
