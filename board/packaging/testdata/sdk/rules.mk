# A stub of OpenWrt's rules.mk: the programs that a package installs with.
BUILD_DIR ?= /nonexistent
CP := cp -fpR
INSTALL_DIR := install -d -m0755
INSTALL_BIN := install -m0755
INSTALL_DATA := install -m0644
INSTALL_CONF := install -m0600
