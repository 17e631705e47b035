# A stub of golang-package.mk of OpenWrt's feed "packages".
GO_PKG_BUILD_BIN_DIR ?= $(PKG_BUILD_DIR)/.go_work/build/bin
GO_ARCH_DEPENDS := @GO_STUB
$(if $(GO_PKG),,$(error GO_PKG is not defined before golang-package.mk is included))
