# shellcheck shell=bash
# What builds and runs images: Docker where it runs, else buildah (as root, in a chroot). Sourced, never run.
REGISTRY=${REGISTRY:-freepool}
TAG=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/pyproject.toml")}
note() { echo "images: $*" >&2; }
fail() { note "$*"; exit 1; }

CANNOT=77 # the exit code where there is nothing to build with

# ENGINE names one of the two; the test cluster's images are buildah's. As root on Debian, what is missing is installed.
engine() {
  if [[ -n ${ENGINE:-} ]]; then echo "$ENGINE" && return; fi
  if docker info >/dev/null 2>&1; then echo docker && return; fi
  if ! command -v buildah >/dev/null && [[ $EUID == 0 ]] && command -v apt-get >/dev/null; then
    note "installing buildah (once)"
    { apt-get update && apt-get install -y --no-install-recommends buildah debootstrap; } >/dev/null 2>&1 || true
  fi
  if command -v buildah >/dev/null; then echo buildah && return; fi
  note "images cannot be built here: neither Docker nor buildah is there. On Debian: sudo apt-get install buildah"
  exit "$CANNOT"
}

# One setting of pip's, as words: from its files or from the environment, which wins.
pip_setting() {
  "${PYTHON:-python3}" -m pip config list 2>/dev/null | sed -nE "s/^(global|install|:env:)\.\.?$1='(.*)'$/\2/p" | head -n 1
}

# A folder of wheels on this machine: TORCH_INDEX, or the one that pip's find-links names. Empty where there is none.
wheel_folder() {
  local word
  for word in "${TORCH_INDEX:-}" $(pip_setting find-links); do
    if [[ -d ${word#file://} ]]; then echo "${word#file://}" && return; fi
  done
}

# The locks of an image of instances: the notebook's, and the tool chain's. Those of cpu name a build of PyTorch that PyPI
# does not have: where none is in reach, the image gets gpu's locks. Nothing for other images.
locks_of() { # NAME
  local like=$1 wheels
  if [[ $1 == cpu && ( -z ${TORCH_INDEX:-} || -d ${TORCH_INDEX:-} ) ]]; then
    wheels=$(wheel_folder)
    if [[ -z $wheels || -z $(find -L "$wheels" -maxdepth 1 -name 'torch-*+cpu-*') ]]; then like=gpu; fi
  fi
  sed -nE 's/^(LOCK|TOOLS)=//p' "$ROOT/images/instance/$like.args" 2>/dev/null || true
}
