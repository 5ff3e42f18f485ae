# A thin front over CMake's presets. `make` alone lists what there is.
PRESET ?= release
BUILD  := build/$(PRESET)
JOBS   ?= 2
# Tests at once: many of them wait for most of their time.
TESTS  ?= 3
MAKEFLAGS += --no-print-directory

.PHONY: help deps build demo demo-mqtt demo-cluster test test-ble bench bench-server bench-peers bench-gateway packages format lint docs clean
help:
	@echo "make demo     carry PNEs through steps 0 to 10 with real processes (DEMO='--pnes 20' to change it)"
	@echo "make demo-mqtt  keys change under a mosquitto broker and MQTT clients, which do not notice; installs mosquitto (DEMO='--pnes 50')"
	@echo "make demo-cluster  a cluster that loses a node and its primary, and no key; installs PostgreSQL, Patroni, etcd and HAProxy"
	@echo "make test     build everything and run the tests"
	@echo "make test-ble run the tests over Bluetooth, in an emulated machine: some minutes, and 163 MB once"
	@echo "make bench    measure; the figures of docs/performance.md (BENCH='--quick', BENCH='--write')"
	@echo "make bench-server  measure what an assignment costs a server, on RocksDB and PostgreSQL (BENCH=--quick, BENCH=--help)"
	@echo "make bench-peers   the same beside a KDC of MIT Kerberos and FreeRADIUS, which you install (BENCH=--help)"
	@echo "make bench-gateway  measure one gateway of many PNEs (BENCH='--pnes 100000', BENCH='--quick')"
	@echo "make packages build the Debian packages, into build/packages"
	@echo "make build    build what users run (PRESET=dev, asan, tsan for the others)"
	@echo "make docs     write the generated pages again"
	@echo "make format   format the sources;  make lint: clang-tidy on all of them, half an hour if none passed before"
	@echo "make deps     install the Debian packages that the build needs;  make clean: remove build/"

deps:
	@scripts/install-deps

$(BUILD)/CMakeCache.txt: | deps
	@cmake --preset $(PRESET) >/dev/null

build: deps $(BUILD)/CMakeCache.txt
	@cmake --build $(BUILD) -j $(JOBS)

demo: deps $(BUILD)/CMakeCache.txt
	@scripts/quietly cmake --build $(BUILD) -j $(JOBS) --target cpns transports
	@$(BUILD)/bin/cpns demo $(DEMO)

# The headers of the broker may be new on this machine, so the tree is configured again.
demo-mqtt: deps
	@scripts/install-deps --broker
	@cmake --preset $(PRESET) >/dev/null
	@scripts/quietly cmake --build $(BUILD) -j $(JOBS) --target cpns transports cpns_mosquitto mqtt_crowd
	@$(BUILD)/bin/cpns demo --application mqtt $(DEMO)

demo-cluster: deps $(BUILD)/CMakeCache.txt
	@scripts/install-deps --cluster
	@scripts/quietly cmake --build $(BUILD) -j $(JOBS) --target cpns transports
	@CPNS_BIN=$(CURDIR)/$(BUILD)/bin/cpns scripts/cluster-demo $(DEMO)

test: build
	@scripts/install-deps --tests
	@ctest --test-dir $(BUILD) --output-on-failure -j $(TESTS) -LE e2e_ble

test-ble: build
	@tests/e2e/ble_vm --prepare || true
	@ctest --test-dir $(BUILD) --output-on-failure -j $(TESTS) -L e2e_ble

bench:
	@$(MAKE) build PRESET=bench
	@bench/run build/bench $(BENCH)

bench-server:
	@$(MAKE) build PRESET=bench
	@scripts/install-deps --tests
	@bench/server build/bench $(BENCH)

bench-peers:
	@$(MAKE) build PRESET=bench
	@bench/peers build/bench $(BENCH)

bench-gateway:
	@$(MAKE) build PRESET=bench
	@bench/gateway build/bench $(BENCH)

packages:
	@scripts/install-deps --packages
	@[ -e $(BUILD)/CMakeCache.txt ] || cmake --preset $(PRESET) >/dev/null
	@scripts/quietly cmake --build $(BUILD) -j $(JOBS) --target cpns transports pages
	@cmake --build $(BUILD) --target packages

docs: build
	@scripts/generated-pages $(BUILD) write

format:
	@scripts/install-deps --ci
	@scripts/format write

lint:
	@scripts/install-deps --ci
	@JOBS=$(JOBS) scripts/lint --all

clean:
	@rm -rf build
