# The image: the binary with plugins, the libraries that it is linked to, and nothing else. Not built where the tests run, for want of
# an engine; they check it with hadolint, and run the binary in the same folder that becomes the image (scripts/image-root.sh).
#
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$(git log -1 --format=%cI)" --tag consentry:0.1.0 .
#
# BUILDER is any Debian 12 with Rust 1.95 and a C compiler; with an air gap, your own. Pin it by its digest where you build releases.
ARG BUILDER=rust:1.95-bookworm

FROM ${BUILDER} AS build
WORKDIR /src
COPY . .
# The lock file decides what is built. Both caches are the builder's own, so the binary is copied out in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package consentry --features plugins \
    && scripts/image-root.sh target/release/consentry /image

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Consentry" \
      org.opencontainers.image.description="A self-hosted open-banking (PSD2) gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /image/ /
# As in the chart. No HEALTHCHECK: Kubernetes asks the operations port, and there is nothing here to ask with.
USER 65532:65532
EXPOSE 8443 8444 8445 8446 9090
ENTRYPOINT ["/usr/bin/consentry"]
CMD ["serve", "--config", "/etc/consentry/consentry.toml"]
