# Thin: each target installs what is missing, then calls CMake. How things are built stands in CMakePresets.json.
#
#     make demo     the whole job on the small model opal, about six minutes on two cores after the build
#     make test     all tests
#     make build    the program, build/release/carat
#     make bench    how fast the kernels are on this machine

.PHONY: build demo test bench format clean configure
.DEFAULT_GOAL := build

# A file that includes libtorch takes the compiler 1.3 GB, so the jobs are limited by free memory too.
JOBS ?= $(shell awk -v cores=$$(nproc) '/^MemAvailable/ { jobs = int($$2 / 1500000) } \
	END { if (jobs < 1) jobs = 1; print jobs < cores ? jobs : cores }' /proc/meminfo)
CCACHE := $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)

configure:
	tools/install_dependencies.sh
	cmake --preset release $(CCACHE)

build: configure
	cmake --build --preset release --target carat -j $(JOBS)

demo: build
	build/release/carat demo

test: configure
	cmake --build --preset release -j $(JOBS)
	ctest --test-dir build/release --output-on-failure -j $$(nproc)

bench:
	tools/install_dependencies.sh bench
	cmake --preset bench $(CCACHE)
	cmake --build --preset bench --target kernels_bench -j $(JOBS)
	build/bench/kernels_bench

format:
	tools/install_dependencies.sh format
	tools/check_format.sh --fix

clean:
	rm -rf build
