# The service with the CUDA engine:  docker build -t sdxl-image-service .
#   docker run --gpus all -p 8000:8000 -v models:/models -v data:/data sdxl-image-service
# Without a GPU:  docker build --build-arg ENGINE_VARIANT=cpu --build-arg REQUIRE_GPU=false …, then MODEL_PATH=demo.
# AMD, Intel:     docker build --build-arg ENGINE_VARIANT=vulkan …
#   docker run --device /dev/dri --group-add $(stat -c %g /dev/dri/renderD128) …
# Your own engine: docker build --build-context engine=PREFIX …, of a folder with an installed stable-diffusion.cpp.
# It runs as any user, with a read-only root: docker run --user 12345:0 --read-only --tmpfs /tmp …
# The digest decides, the tag is for readers; both are those of the index, which holds all platforms.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
ARG ENGINE_VARIANT=cuda12

# Replaced by `--build-context engine=PREFIX`. This one has no engine in it, so the pinned one is fetched.
FROM scratch AS engine
COPY LICENSE /

# hadolint ignore=DL3006
FROM ${NODE_IMAGE} AS build
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates cmake g++ make python3 python3-pip \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# Layers from what changes least to what changes most: packages, the engine (CUDA's: 860 MB), the service.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
ARG ENGINE_VARIANT
COPY --from=engine / /opt/engine/
COPY CMakeLists.txt ./
COPY native ./native
# Of an engine of your own the image gets what is loaded: its libraries.
RUN mkdir -p /opt/engine/lib native/.engine \
  && if [ -e /opt/engine/include/stable-diffusion.h ]; then export SD_CPP_ROOT=/opt/engine; fi \
  && ENGINE_VARIANT=${ENGINE_VARIANT} PIP_NO_CACHE_DIR=1 npm run engine \
  && find /opt/engine -mindepth 1 -maxdepth 1 ! -name 'lib*' -exec rm -r {} + \
  && find /opt/engine -name '*.a' -delete
COPY nest-cli.json tsconfig.json ./
COPY apps ./apps
COPY libs ./libs
COPY tools ./tools
# cmake-js and what it brings only build the addon; types and source maps are for people who write code.
RUN npm run build && node tools/sbom.mjs sbom.cdx.json \
  && npm pkg delete dependencies.cmake-js dependencies.node-addon-api \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
  && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

# hadolint ignore=DL3006
FROM ${NODE_IMAGE}
ARG ENGINE_VARIANT
# libgomp1: the engine's threads. tini: reaps the engine process and passes signals on. NVIDIA's driver comes from the
# host, Vulkan's loader and its drivers for AMD and Intel do not. npm is not needed any more. Platforms that choose the
# user themselves (OpenShift) give it the group 0.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get upgrade -y \
  && apt-get install -y --no-install-recommends ca-certificates libgomp1 tini \
  && if [ "${ENGINE_VARIANT}" = vulkan ]; then apt-get install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers; fi \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/local/lib/node_modules /opt/yarn* \
  && mkdir -p /models /data && chown node:0 /models /data && chmod g=u /models /data
WORKDIR /app
COPY --from=build /opt/engine/ /opt/engine/
COPY --from=build /app/native/.engine ./native/.engine
COPY --from=build /app/native/build/Release ./native/build/Release
COPY --from=build /app/native/index.js ./native/index.js
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/libs/models/demo ./libs/models/demo
COPY --from=build /app/dist ./dist
COPY --from=build /app/sbom.cdx.json /app/tools/key.mjs ./tools/
COPY package.json LICENSE THIRD_PARTY_NOTICES.md ./
ARG REQUIRE_GPU=true
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sdxl-image-service" \
  org.opencontainers.image.description="Images by Stable Diffusion XL with IP-Adapter and LoRA, behind a REST API" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
# The driver compiles the engine's GPU code for this very card once; its cache lies with the models.
# Without keys everybody may call, and the log warns of it: API_KEYS_FILE or API_KEYS closes the service.
ENV NODE_ENV=production HOST=0.0.0.0 ALLOW_ANONYMOUS=true PORT=8000 DATA_DIR=/data HF_HOME=/models REQUIRE_GPU=${REQUIRE_GPU} \
  HOME=/tmp NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
  CUDA_CACHE_PATH=/models/.cuda CUDA_CACHE_MAXSIZE=4294967296
VOLUME ["/models", "/data"]
EXPOSE 8000
# A number: Kubernetes cannot tell of a name whether it is root.
USER 1000:0
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.METRICS_PORT || process.env.PORT}/health/live`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--"]
CMD ["node", "dist/apps/server/src/main.js"]
