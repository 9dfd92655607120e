# shellcheck shell=bash
# Kubernetes' programs, built once from Debian's own source package: the newest that Debian 12 carries in full.
KUBERNETES=v1.20.2
COMMANDS=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl)

kubernetes() {
  local name
  for name in "${COMMANDS[@]}"; do [[ -x $BIN/$name ]] || break; done
  [[ -x $BIN/$name ]] && return 0
  note "building Kubernetes $KUBERNETES from Debian's source package (once, about 5 minutes)"
  (build_kubernetes) || fail "Kubernetes cannot be built: see $LOG/build.log"
}

build_kubernetes() {
  set -euo pipefail
  exec >"$LOG/build.log" 2>&1
  local source=$STATE/src
  mkdir -p "$source"
  fetch_source "$source"
  local tree=$source/go/src/k8s.io/kubernetes
  rm -rf "$source/go"
  mkdir -p "$tree"
  tar -xzf "$source"/kubernetes_*.orig.tar.gz -C "$tree" --strip-components=1
  # The source's own copy breaks the encoding of maps under Go 1.18 and later.
  rm -rf "$tree/vendor/github.com/modern-go/reflect2"
  cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 "$tree/vendor/github.com/modern-go/reflect2"
  export GOPATH=$source/go GO111MODULE=off CGO_ENABLED=0 GOCACHE=$source/cache
  cd "$tree"
  generate_openapi "$source"
  local version=k8s.io/kubernetes/vendor/k8s.io/component-base/version client=k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version
  local flags="-s -w -X $version.gitVersion=$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=20"
  flags+=" -X $version.gitTreeState=clean -X $client.gitVersion=$KUBERNETES"
  local name
  for name in "${COMMANDS[@]}"; do go build -ldflags "$flags" -o "$BIN/$name" "k8s.io/kubernetes/cmd/$name"; done
  cd /
  rm -rf "$source"
}

# The source package, by way of package lists of our own: the machine's are left as they are.
fetch_source() {
  local apt=$STATE/apt file
  mkdir -p "$apt/lists/partial" "$apt/parts"
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -f $file ]] && sed 's/^Types: .*/Types: deb-src/' "$file" >"$apt/parts/$(basename "$file")"
  done
  [[ -f /etc/apt/sources.list ]] && sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$apt/parts/classic.list"
  local options=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$apt/parts" -o "Dir::State::Lists=$apt/lists")
  apt-get "${options[@]}" update -qq
  (cd "$1" && apt-get "${options[@]}" --download-only source kubernetes)
}

# One generated file is not in the source package.
generate_openapi() {
  go build -o "$1/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
  local inputs
  inputs=$(grep -rlE '^// \+k8s:openapi-gen=true' --include=*.go pkg staging/src/k8s.io cmd vendor/k8s.io | xargs -n1 dirname |
    sed 's#^staging/src/##; s#^pkg/#k8s.io/kubernetes/pkg/#; s#^cmd/#k8s.io/kubernetes/cmd/#; s#^vendor/##' |
    grep -vE 'sample-|testdata' | sort -u | paste -sd,)
  "$1/openapi-gen" -i "$inputs" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h hack/boilerplate/boilerplate.generatego.txt -r "$1/violations"
}
