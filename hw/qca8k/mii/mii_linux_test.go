package mii_test

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"spigate/hw/qca8k"
	"spigate/hw/qca8k/mii"
)

var _ qca8k.Bus = (*mii.Bus)(nil)

func TestADeviceWithoutAManagementBusIsRefusedAtOnce(t *testing.T) {
	for device, want := range map[string]string{
		"lo": "management bus", "nosuch0": "management bus", "": "1 to 15", "a-name-of-sixteen": "1 to 15",
	} {
		b, err := mii.Open(device)
		if err == nil {
			t.Errorf("%q is taken", device)
			_ = b.Close()
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", device, err)
		}
	}
	if _, err := mii.Open("nosuch0"); !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EPERM) {
		t.Errorf("no such device: %v", err)
	}
}

// TestTheRequestIsAsLargeAsTheKernelReads: it copies a whole struct ifreq.
func TestTheRequestIsAsLargeAsTheKernelReads(t *testing.T) {
	if mii.RequestSize < unsafe.Sizeof(unix.Ifreq{}) {
		t.Errorf("%d bytes, struct ifreq has %d", mii.RequestSize, unsafe.Sizeof(unix.Ifreq{}))
	}
}
