# The server on Debian 12: built in one stage, run in another with only the libraries it needs.
FROM debian:12-slim AS build
WORKDIR /src
COPY . .
RUN script/setup && meson configure build --prefix=/usr --libdir=lib \
    && meson install -C build --quiet --destdir /out && mkdir -p /root/.local/share/llmcache

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libcivetweb1 \
        libcurl4 libhiredis0.14 libjansson4 libsqlite3-0 libssl3 libutf8proc2 zlib1g \
    && rm -rf /var/lib/apt/lists/* && useradd --create-home llmcache
COPY --from=build /out /
COPY --from=build /root/.local/share/llmcache /home/llmcache/.local/share/llmcache
RUN chown -R llmcache /home/llmcache
USER llmcache
ENV LLMCACHE_LISTEN=0.0.0.0:8000
EXPOSE 8000
HEALTHCHECK CMD ["llmcache-cli", "--version"]
CMD ["llmcache-server"]
