#!/usr/bin/env bash
# Synthesizes examples/cdk with the packages of its package-lock.json, and compares the result with the template.
#
#     tests/stack/cdk.sh folder
#
# The packages are installed into the folder. Exit status 75 says that this machine or its network does not provide them.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=$(realpath -m "${1:?usage: cdk.sh folder}")
unavailable=75

give_up() {
    echo "warning: the CDK example cannot be synthesized: $1" >&2
    exit "$unavailable"
}

command -v npm >/dev/null || give_up "npm is missing"
if [[ ! -e $folder/installed ]]; then
    rm -rf "$folder" && mkdir -p "$folder"
    cp examples/cdk/package.json examples/cdk/package-lock.json "$folder"
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
        give_up "its packages cannot be installed"
    touch "$folder/installed"
fi

# Node looks for packages beside the app.
cp examples/cdk/app.js "$folder"
rm -rf "$folder/out"
CDK_OUTDIR=$folder/out node "$folder/app.js" template.yaml
python tests/stack/synthesized.py "$folder/out/spot-interruption-handler.template.json"
