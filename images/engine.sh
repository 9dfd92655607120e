# shellcheck shell=bash
# What builds and runs images: Docker where it runs, else buildah (as root, in a chroot). Sourced, never run.
REGISTRY=${REGISTRY:-freepool}
TAG=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/pyproject.toml")}
note() { echo "images: $*" >&2; }
fail() { note "$*"; exit 1; }

engine() {
  if docker info >/dev/null 2>&1; then echo docker
  elif command -v buildah >/dev/null; then echo buildah
  else fail "neither Docker nor buildah is there. On Debian: sudo apt-get install buildah"
  fi
}
