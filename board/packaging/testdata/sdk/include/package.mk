# A stub of OpenWrt's package.mk: targets for what a package defines. The names
# that it must define are used, so that one that is missing is an error.
PKG_BUILD_DIR ?= $(BUILD_DIR)/$(PKG_NAME)-$(PKG_VERSION)

need = $(if $(value $(1)),,$(error $(1) is not defined))

define BuildPackage
$(foreach name,PKG_NAME PKG_VERSION PKG_RELEASE PKG_LICENSE Package/$(1) Package/$(1)/description Package/$(1)/install,$(call need,$(name)))

.PHONY: prepare package variables
prepare:
	$$(Build/Prepare)

package:
	$$(call Package/$(1)/install,$$(ROOT))

variables:
	@echo $$(GO_PKG) $$(GO_PKG_BUILD_PKG) $$(GO_PKG_TAGS) $$(GO_PKG_INSTALL_ALL) $$(PKG_LICENSE) $$(PKG_BUILD_DEPENDS)
endef
