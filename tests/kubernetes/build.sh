#!/usr/bin/env bash
# Builds kube-apiserver of Debian 12's source package `kubernetes`, and puts it into a folder with Debian's etcd.
#
#     tests/kubernetes/build.sh folder
#
# Packages are unpacked, not installed: so root is not needed, and no etcd service starts. Exit status 75 says that this
# machine or its network does not provide the packages.
set -euo pipefail

version=1.20.2
release=bookworm
unavailable=75

folder=$(realpath -m "${1:?usage: build.sh folder}")
if [[ -x $folder/kube-apiserver && -x $folder/etcd ]]; then
    echo "$folder has kube-apiserver $version"
    exit
fi

give_up() {
    echo "warning: kube-apiserver cannot be built: $1" >&2
    exit "$unavailable"
}

for tool in apt-get apt-cache dpkg-deb dpkg-source; do
    command -v "$tool" >/dev/null || give_up "$tool is missing"
done
# The machine's own mirror, whatever it is.
# shellcheck disable=SC2016 # apt expands this.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $release" "Release: $release" |
    head -n 1)
[[ $mirror ]] || give_up "apt has no source for Debian's release $release"

mkdir -p "$folder"
work=$(mktemp -d -p "$folder" building.XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p lists/partial archives/partial
printf '%s\n' "deb $mirror $release main" "deb-src $mirror $release main" >sources.list
cat >apt.conf <<END
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$work/lists";
Dir::Cache::archives "$work/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
Acquire::Retries "2";
END
export APT_CONFIG=$work/apt.conf
apt-get -qq update || give_up "Debian's package lists cannot be read"
apt-get -qq download golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev etcd-server ||
    give_up "Debian's packages cannot be downloaded"
apt-get -qq source --download-only kubernetes || give_up "Debian's source package cannot be downloaded"

for package in *.deb; do
    dpkg-deb -x "$package" root
done
export GOPATH=$work/go
source=$GOPATH/src/k8s.io/kubernetes
mkdir -p "$(dirname "$source")"
# Applies debian/patches, too. apt has compared the files with the signed lists.
dpkg-source --no-check -x kubernetes_*.dsc "$source" >dpkg-source.log || {
    cat dpkg-source.log
    exit 1
}
cd "$source"
# The vendored version of reflect2 does not know the maps of Go 1.18 and later.
rm -r vendor/github.com/modern-go/reflect2
cp -R "$work/root/usr/share/gocode/src/github.com/modern-go/reflect2" vendor/github.com/modern-go/

export GOROOT=$work/root/usr/lib/go-1.19 GOCACHE=$work/go-cache GOTMPDIR=$work
export GO111MODULE=off GOFLAGS='' CGO_ENABLED=0
go=$GOROOT/bin/go
export PATH=$GOROOT/bin:$PATH

# The only generated file that the source package lacks.
"$go" build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
inputs=$(grep -Rl --include='*.go' '+k8s:openapi-gen=' pkg vendor/k8s.io |
    grep -vE '^vendor/k8s.io/(code-generator|kube-openapi|sample-apiserver)/' |
    xargs -n 1 dirname | sort -u | sed 's|^|k8s.io/kubernetes/|' | paste -sd ,)
"$work/openapi-gen" --logtostderr --input-dirs "$inputs" --output-package k8s.io/kubernetes/pkg/generated/openapi \
    --output-file-base zz_generated.openapi --go-header-file /dev/null --report-filename /dev/null 2>"$work/openapi.log" || {
    cat "$work/openapi.log"
    exit 1
}

# Without a version, the server cannot tell which APIs it has to serve.
package=k8s.io/component-base/version
IFS=. read -r major minor _ <<<"$version"
"$go" build -ldflags "-s -w -X $package.gitVersion=v$version -X $package.gitMajor=$major -X $package.gitMinor=$minor" \
    -o "$work/kube-apiserver" ./cmd/kube-apiserver
mv "$work/root/usr/bin/etcd" "$work/kube-apiserver" "$folder/"
