#!/bin/sh
# Makes the part of an image that is ours, in the stage of the Dockerfile that has everything:
#   program.sh OUT FOLDER...      OUT is the image's root folder, FOLDER those of the sources that it runs
set -eu
out=$1
shift
node scripts/production-modules.ts "$out/opt/reprieve" "$@"
node scripts/strip-types.ts "$out/opt/reprieve" "$@"
cp package.json "$out/opt/reprieve/"
mkdir -p "$out/usr/local/bin" "$out/usr/share/doc/reprieve"
cp /usr/local/bin/node "$out/usr/local/bin/node"
cp LICENSE NOTICE "$out/usr/share/doc/reprieve/"
cp node_modules/node-linux-*/LICENSE "$out/usr/share/doc/reprieve/LICENSE.node"
