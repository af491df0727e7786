# Two images from one build, both without a shell or a package manager:
#   sidecar        the sidecar and the restore init container: Node, plain JavaScript, the launcher, CRIU and its companions
#   control-plane  the webhook, what keeps its certificates, and the node agent: Node and plain JavaScript, as a user without rights
# Nothing comes from the builder's node_modules. Every stage takes the architecture that it runs as.
#   make image IMAGE=NAME      with buildah, also without a registry, or with docker
ARG BASE=docker.io/library/debian:trixie-slim

# The launcher: static, so that it runs in any image.
FROM ${BASE} AS launcher
RUN apt-get -qq update \
 && apt-get -qq install --yes --no-install-recommends gcc libc6-dev make musl-tools linux-libc-dev
COPY launcher /build/launcher
RUN make -s -C /build/launcher

# CRIU and its companions with all their libraries: they run in the application's mount namespace.
FROM ${BASE} AS tools
ARG MIRROR=http://deb.debian.org/debian
ARG PACKAGES=pinned
COPY scripts/install-criu.sh /build/
RUN sh /build/install-criu.sh ${MIRROR}
COPY scripts/collect-tools.sh /build/
RUN sh /build/collect-tools.sh /build/tools
COPY scripts/image/packages.sh scripts/image/packages.lock /build/
RUN sh /build/packages.sh tools ${PACKAGES} /build/tools >/build/tools.packages

# What Node needs of a system, and nothing else.
FROM ${BASE} AS runtime
ARG PACKAGES=pinned
COPY scripts/image/runtime.sh scripts/image/packages.sh scripts/image/packages.lock /build/
RUN sh /build/runtime.sh / /build/root \
 && sh /build/packages.sh runtime ${PACKAGES} /build/root >/build/runtime.packages

# The packages of package-lock.json, and Node itself, each by its hash.
FROM ${BASE} AS modules
ARG NPM_REGISTRY=https://registry.npmjs.org
RUN apt-get -qq update && apt-get -qq install --yes --no-install-recommends ca-certificates curl
WORKDIR /build
COPY package.json package-lock.json scripts/image/fetch-modules.sh ./
RUN --mount=type=secret,id=ca sh fetch-modules.sh ${NPM_REGISTRY}

# Plain JavaScript and the packages that it needs at run time; what is in it, and under which licences.
FROM modules AS program
COPY scripts scripts
COPY src src
COPY webhook webhook
COPY sidecar sidecar
COPY certs certs
COPY agent agent
COPY LICENSE NOTICE ./
COPY --from=tools /build/tools.packages ./
COPY --from=runtime /build/runtime.packages ./
RUN sh scripts/image/program.sh /images/sidecar src sidecar \
 && sh scripts/image/program.sh /images/control-plane src webhook certs agent \
 && node scripts/image/sbom.ts /images/sidecar runtime.packages tools.packages \
 && node scripts/image/sbom.ts /images/control-plane runtime.packages

FROM scratch AS control-plane
COPY --from=runtime /build/root /
COPY --from=program /images/control-plane /
ENV PATH=/usr/local/bin
WORKDIR /opt/reprieve
USER 65532:65532
CMD ["node", "webhook/main.js"]

# Last, so that it is what is built where no target is named.
FROM scratch AS sidecar
COPY --from=runtime /build/root /
COPY --from=tools /build/tools /usr/local/lib/reprieve/tools
COPY --from=launcher /build/build/launcher/launcher /usr/local/lib/reprieve/launcher
COPY --from=program /images/sidecar /
ENV PATH=/usr/local/bin
WORKDIR /opt/reprieve
CMD ["node", "sidecar/main.js"]
