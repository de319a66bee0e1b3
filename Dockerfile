# The image: one static binary and certificate authorities. No shell, no package manager.
#
#   docker build --tag token-broker .                        release
#   docker build --target dev --tag token-broker:dev .       with the commands `sandbox` and `demo`
#
# Podman and Buildah need `--format docker`: the OCI format has no HEALTHCHECK.
# The base is pinned by its exact version. To pin its bytes too, append the digest that
# `docker buildx imagetools inspect docker.io/library/rust:1.95.0-slim-bookworm` prints (@sha256:...).

FROM docker.io/library/rust:1.95.0-slim-bookworm AS dependencies
WORKDIR /src
# A static glibc: the image needs no loader and no libraries, and has the allocator and the resolver
# that the published figures were measured with. The flag must not reach build scripts, which is
# what naming the target is for; any architecture that the base exists for will do.
ENV RUSTFLAGS="-C target-feature=+crt-static"
COPY Cargo.toml Cargo.lock ./
# Dependencies are a layer of their own: editing the sources does not build them again.
RUN mkdir src \
    && touch src/lib.rs \
    && echo 'fn main() {}' >src/main.rs \
    && cargo build --locked --release --no-default-features --target "$(rustc --print host-tuple)" \
    && rm -r src
COPY config config
COPY src src
# Docker keeps the sources' dates, which are older than the stand-ins just built.
RUN touch src/lib.rs src/main.rs
# What the image has besides the binary. The empty folder is owned by the image's user, and so is a
# named volume that is first mounted there: that is where a Unix socket goes.
RUN install -D -m 0444 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
    && install -d -m 0755 /image/etc/token-broker \
    && install -d -m 0755 /run/token-broker

FROM dependencies AS build-dev
RUN cargo build --locked --release --features sandbox --target "$(rustc --print host-tuple)" \
    && install -m 0555 "target/$(rustc --print host-tuple)/release/token-broker" /image/token-broker

FROM dependencies AS build
RUN cargo build --locked --release --no-default-features --target "$(rustc --print host-tuple)" \
    && install -m 0555 "target/$(rustc --print host-tuple)/release/token-broker" /image/token-broker

FROM scratch AS base
LABEL org.opencontainers.image.title="token-broker" \
      org.opencontainers.image.description="Keeps vendor access tokens fresh and serves them on localhost" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=dependencies --chown=65532:65532 /run/token-broker /run/token-broker
# Numeric, so that Kubernetes can tell it is not root (`runAsNonRoot`).
USER 65532:65532
STOPSIGNAL SIGTERM
# Listeners are loopback or a Unix socket, so there is nothing to EXPOSE.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
    CMD ["/token-broker", "healthcheck"]
ENTRYPOINT ["/token-broker"]
CMD ["serve"]

FROM base AS dev
COPY --from=build-dev /image /

# The last stage is what `docker build` makes unless told otherwise.
FROM base AS release
COPY --from=build /image /
