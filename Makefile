# gokdump. "make help" lists the targets.

GO     ?= go
prefix ?= /usr
DESTDIR ?=

bindir  := $(DESTDIR)$(prefix)/sbin
libdir  := $(DESTDIR)$(prefix)/lib/gokdump
mandir  := $(DESTDIR)$(prefix)/share/man
unitdir := $(DESTDIR)/usr/lib/systemd/system
udevdir := $(DESTDIR)/usr/lib/udev/rules.d

export CGO_ENABLED := 0
# mke2fs and its like are in no ordinary user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: build
build: ## build the commands into build/, static
	$(GO) build -trimpath -ldflags "-s -w" -o build/ ./cmd/...
	$(GO) build -trimpath -ldflags "-s -w" -tags raw,stack -o build/kdump-init-disk ./cmd/kdump-init
	$(GO) build -trimpath -ldflags "-s -w" -tags raw,stack,age -o build/kdump-init-age ./cmd/kdump-init
	$(GO) build -trimpath -ldflags "-s -w" -tags raw,stack,net -o build/kdump-init-net ./cmd/kdump-init
	$(GO) build -trimpath -ldflags "-s -w" -tags raw,stack,net,ssh,s3,age,notify -o build/kdump-init-full ./cmd/kdump-init

.PHONY: demo
demo: setup ## crash a real kernel in a virtual machine and open its dump
	@scripts/slow "compiling the demonstration" $(GO) build -o build/tools/ ./qemu/demo
	@build/tools/demo

.PHONY: test
test: ## everything, from nothing: what CI runs
	@$(MAKE) --no-print-directory setup
	@$(MAKE) --no-print-directory fetch
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory fuzz
	@$(MAKE) --no-print-directory test-vm
	@$(MAKE) --no-print-directory test-faults-short
	@$(MAKE) --no-print-directory test-matrix-short

.PHONY: test-unit
test-unit: ## unit tests, tests of the commands and of the targets with their servers
	$(GO) test ./...

.PHONY: test-vm
test-vm: ## crash real kernels in virtual machines
	$(GO) test -tags vm -count=1 -timeout 30m -parallel 2 -v ./qemu/smoke

.PHONY: test-targets
test-targets: setup fetch ## crash into every kind of target, on every kind of disk
	GOKDUMP_TARGETS=all $(GO) test -tags vm -count=1 -timeout 120m -parallel 2 -v ./qemu/smoke -run "TestDisks|TestLogInFirmware|TestFull|TestEncrypted|TestRetention|TestNotify|TestNFS|TestNetwork|TestSSH|TestS3"

.PHONY: test-matrix
test-matrix: setup ## compare dumps of all kernels, page by page, and of the newest QEMU; writes docs/matrix.md
	@scripts/slow "compiling the matrix" $(GO) build -o build/tools/matrix ./qemu/matrix/run
	@build/tools/matrix $(MATRIXFLAGS)
	$(GO) test -tags vm,newest -count=1 -timeout 30m -v -run Newest ./qemu/smoke

.PHONY: test-faults
test-faults: setup fetch ## break machines, disks and servers while they capture; writes docs/faults.md
	@scripts/slow "compiling the faults" $(GO) build -o build/tools/ ./qemu/faults
	@build/tools/faults $(FAULTSFLAGS)

.PHONY: test-faults-short
test-faults-short: setup ## the same for five of them
	@scripts/slow "compiling the faults" $(GO) build -o build/tools/ ./qemu/faults
	@build/tools/faults --short

.PHONY: docs
docs: ## write the documentation of the last test-matrix anew
	@$(GO) run ./qemu/matrix/run -docs

.PHONY: test-matrix-short
test-matrix-short: setup ## the same for one kernel at three levels
	@scripts/slow "compiling the matrix" $(GO) build -o build/tools/matrix ./qemu/matrix/run
	@build/tools/matrix -short

.PHONY: test-spoiled
test-spoiled: setup ## spoil what all kernels of the matrix say of themselves; needs its cores
	@scripts/slow "compiling the spoiler" $(GO) build -o build/tools/spoiled ./qemu/spoiled/run
	@build/tools/spoiled $(SPOILEDFLAGS)

.PHONY: bench
bench: setup ## compare with makedumpfile; writes docs/bench.md
	@scripts/slow "compiling the comparison" $(GO) build -o build/tools/ ./qemu/bench
	@build/tools/bench $(BENCHFLAGS)

.PHONY: bench-vm
bench-vm: setup ## compare from panic to reset with other crash images; writes docs/bench-vm.md
	@scripts/slow "compiling the comparison" $(GO) build -o build/tools/ ./qemu/crashbench
	@build/tools/crashbench $(BENCHFLAGS)

.PHONY: fuzz
fuzz: ## run each fuzz target for some seconds
	@GO="$(GO)" scripts/fuzz 3s

.PHONY: check
check: fmt vet staticcheck ## gofmt, vet for both architectures, staticcheck

.PHONY: fmt
fmt: ## fail on code that gofmt would change
	@bad=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); [ -z "$$bad" ] || { echo "gofmt would change:"; echo "$$bad"; exit 1; }

.PHONY: vet
vet: ## go vet for amd64 and arm64
	GOARCH=amd64 $(GO) vet -tags vm,newest ./...
	GOARCH=arm64 $(GO) vet -tags vm,newest ./...
	GOARCH=amd64 $(GO) vet -tags raw,stack,net,ssh,s3,age,notify ./cmd/kdump-init

.PHONY: staticcheck
staticcheck: ## the linter that go.mod pins
	$(GO) tool staticcheck -tags vm,newest ./...

.PHONY: setup
setup: ## install what the tests need; does nothing where all is there
	@scripts/setup

.PHONY: fetch
fetch: ## get the kernel, its symbols and the readers into the cache
	@scripts/slow "compiling the downloader" $(GO) build -o build/tools/ ./qemu/fetch
	@build/tools/fetch
	@scripts/slow "building the object store of the tests (minutes once)" $(GO) run ./capture/target/targettest/s3d/get

# Units and rules lie where systemd and udev look, whatever the prefix.
.PHONY: install
install: $(if $(wildcard build/kdump-init-full),,build) ## install what make build made into $(DESTDIR)$(prefix)
	install -d $(bindir) $(libdir) $(unitdir) $(udevdir) $(mandir)/man5 $(mandir)/man8 $(DESTDIR)/etc/default
	install -m 0755 build/kdump-mkinitramfs build/kdump-arm build/kdump-vmcore $(bindir)
	install -m 0755 build/kdump-init build/kdump-init-disk build/kdump-init-age build/kdump-init-net build/kdump-init-full $(libdir)
	for u in gokdump.service gokdump-image.service gokdump-recover.service gokdump-notify.service gokdump-check.service; do \
		sed 's,@BINDIR@,$(prefix)/sbin,' scripts/systemd/$$u.in >$(unitdir)/$$u && chmod 0644 $(unitdir)/$$u || exit 1; done
	install -m 0644 scripts/systemd/gokdump-reload.service scripts/systemd/gokdump-reload.timer $(unitdir)
	install -m 0644 scripts/udev/98-gokdump.rules $(udevdir)
	[ -e $(DESTDIR)/etc/default/gokdump ] || install -m 0644 scripts/systemd/gokdump.default $(DESTDIR)/etc/default/gokdump
	install -m 0644 scripts/man/*.5 $(mandir)/man5
	install -m 0644 scripts/man/*.8 $(mandir)/man8

.PHONY: clean
clean: ## remove build/; the cache of downloads stays
	rm -rf build
