FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin oncall-webhooks

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/oncall-webhooks /usr/local/bin/oncall-webhooks
USER 65532:65532
ENTRYPOINT ["oncall-webhooks"]
CMD ["controller"]
