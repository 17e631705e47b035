package qca8k

import (
	"fmt"

	"spigate/hw"
)

// Bus is a management bus. phy is 0 to 31, reg 0 to 31.
type Bus interface {
	Read(phy, reg int) (uint16, error)
	Write(phy, reg int, v uint16) error
	Close() error
}

// polls is how often a busy bit is read before the chip is called silent. One
// poll is two frames of 64 bits at 2.5 MHz and two system calls: about 0.1 ms;
// the longest command, a flush of addresses, takes a few of them.
const polls = 1000

// looks is how often a call may look at busy bits in all: a walk over a full
// table takes 8190.
const looks = 20000

// registers reads and writes the chip's 32-bit registers, of which a bus shows
// 16 bits at a time (qca8k split_addr, ar8327 split_addr): bits 18:9 of an
// address are the page, which is written to PHY 0x18 register 0; 8:6 are the
// low bits of the PHY address, 0x10 and up; 5:2 the register, its low half at
// an even number. A write takes effect with the high half, which comes last.
type registers struct {
	bus   Bus
	page  int // -1: not known
	looks int // that are left for this call
}

// at sets the page and returns where the low half is.
func (r *registers) at(addr uint32) (phy, reg int, err error) {
	phy, reg = 0x10|int(addr>>6&7), int(addr>>1&0x1e)
	page := int(addr >> 9 & 0x3ff)
	if page == r.page {
		return phy, reg, nil
	}
	r.page = -1
	if err := r.bus.Write(0x18, 0, uint16(page)); err != nil {
		return 0, 0, silent("page %#x: %w", page, err)
	}
	r.page = page
	return phy, reg, nil
}

func (r *registers) read(addr uint32) (uint32, error) {
	phy, reg, err := r.at(addr)
	if err != nil {
		return 0, err
	}
	lo, err := r.bus.Read(phy, reg)
	if err != nil {
		return 0, silent("register %#x: %w", addr, err)
	}
	hi, err := r.bus.Read(phy, reg+1)
	if err != nil {
		return 0, silent("register %#x: %w", addr, err)
	}
	return uint32(hi)<<16 | uint32(lo), nil
}

func (r *registers) write(addr, v uint32) error {
	phy, reg, err := r.at(addr)
	if err != nil {
		return err
	}
	if err := r.bus.Write(phy, reg, uint16(v)); err != nil {
		return silent("register %#x: %w", addr, err)
	}
	if err := r.bus.Write(phy, reg+1, uint16(v>>16)); err != nil {
		return silent("register %#x: %w", addr, err)
	}
	return nil
}

// change sets the bits of mask to those of v, and writes only if that is a
// change.
func (r *registers) change(addr, mask, v uint32) error {
	was, err := r.read(addr)
	if err != nil {
		return err
	}
	is := was&^mask | v&mask
	if is == was {
		return nil
	}
	return r.write(addr, is)
}

// idle waits until a busy bit is gone and returns the register.
func (r *registers) idle(addr, busy uint32) (uint32, error) {
	for range polls {
		if r.looks--; r.looks < 0 {
			break
		}
		v, err := r.read(addr)
		if err != nil || v&busy == 0 {
			return v, err
		}
	}
	return 0, silent("register %#x stays busy", addr)
}

// command waits until the chip has nothing to do, gives it a command and waits
// again. before is written in between.
func (r *registers) command(addr, busy, v uint32, before func() error) (uint32, error) {
	if _, err := r.idle(addr, busy); err != nil {
		return 0, err
	}
	if before != nil {
		if err := before(); err != nil {
			return 0, err
		}
	}
	if err := r.write(addr, v|busy); err != nil {
		return 0, err
	}
	return r.idle(addr, busy)
}

// silent is an error of a chip that does not answer.
func silent(format string, args ...any) error {
	return fmt.Errorf("%w: %w", hw.ErrSilent, fmt.Errorf(format, args...))
}
