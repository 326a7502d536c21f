#!/bin/sh
# Installs the Debian packages that are missing, and says which. On a machine that has them all it is silent.
#
#     tools/install_dependencies.sh            what building and testing Carat needs
#     tools/install_dependencies.sh bench      what `make bench` needs
#     tools/install_dependencies.sh format     what `make format` needs
#
# Needs root, or sudo. A libtorch of your own is used instead of Debian's when CMAKE_PREFIX_PATH names it.
# The reason for each package stands in docs/dependencies.md.
set -eu

core_packages="g++ cmake ninja-build pkg-config nlohmann-json3-dev libre2-dev libcli11-dev libedit-dev"
test_packages="libgtest-dev librapidcheck-dev python3"
bench_packages="libbenchmark-dev"
# Without an OpenBLAS, Debian's libtorch multiplies matrices with the reference BLAS, fifty times slower.
torch_packages="libtorch-dev libopenblas0-openmp"
format_packages="clang-format-14"
oldest_cmake=3.25

say() { printf 'install_dependencies: %s\n' "$*"; }
give_up() { printf 'install_dependencies: %s\n' "$*" >&2; exit 1; }

is_installed() { dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }
is_available() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

# Whether a folder of CMAKE_PREFIX_PATH holds a libtorch.
own_torch() {
  old_ifs=$IFS
  IFS=:
  for prefix in ${CMAKE_PREFIX_PATH:-}; do
    for config in "$prefix/Torch" "$prefix/share/cmake/Torch" "$prefix/lib/cmake/Torch"; do
      if [ -f "$config/TorchConfig.cmake" ]; then
        IFS=$old_ifs
        return 0
      fi
    done
  done
  IFS=$old_ifs
  return 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@" </dev/null
  else
    sudo env DEBIAN_FRONTEND=noninteractive "$@" </dev/null
  fi
}

explain_torch() {
  cat >&2 <<'TEXT'
install_dependencies: this release of your system has no package libtorch-dev, which the trainer needs.
Get libtorch from Python's package index instead, and say where it is:

    sudo apt-get install python3-venv
    python3 -m venv ~/torch && ~/torch/bin/pip install torch
    export CMAKE_PREFIX_PATH="$(~/torch/bin/python -c 'import torch; print(torch.utils.cmake_prefix_path)')"

Then run make again.
TEXT
  exit 1
}

check_cmake() {
  found=$(cmake --version | sed -n 's/^cmake version //p')
  lower=$(printf '%s\n%s\n' "$oldest_cmake" "$found" | sort -V | head -n 1)
  if [ "$lower" != "$oldest_cmake" ]; then
    give_up "found CMake $found; $oldest_cmake or newer is needed (\`pip install cmake\` in a virtual environment gives one)"
  fi
}

case "${1:-build}" in
  build)
    packages="$core_packages $test_packages"
    own_torch || packages="$packages $torch_packages"
    ;;
  bench) packages="$core_packages $bench_packages" ;;
  format) packages=$format_packages ;;
  *) give_up "unknown list '$1'; expected build, bench or format" ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  say "this is no Debian or Ubuntu; nothing is installed. Carat needs what these Debian packages hold: $packages"
  exit 0
fi

missing=""
for package in $packages; do
  is_installed "$package" || missing="$missing $package"
done

if [ -n "$missing" ]; then
  say "missing:$missing"
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    give_up "no sudo here; as root, run: apt-get install --no-install-recommends$missing"
  fi
  as_root apt-get update -q || say "the package lists could not be brought up to date; going on with those that are here"
  for package in $missing; do
    is_available "$package" && continue
    [ "$package" = libtorch-dev ] && explain_torch
    give_up "no package $package is known here; Debian 12 has it (is the 'universe' part of Ubuntu enabled?)"
  done
  say "installing:$missing"
  # shellcheck disable=SC2086  # one argument a package
  as_root apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 $missing
fi

[ "${1:-build}" = format ] || check_cmake
