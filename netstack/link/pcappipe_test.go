package link

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"spigate/netstack/frame"
)

// A frame that was written to a named pipe is received before the next one is:
// the batch is not waited for.
func TestAPortOverANamedPipeIsLive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	first := capture(binary.LittleEndian, pcapMicro, make([]byte, 60))
	if _, err := pipe.Write(first); err != nil {
		t.Fatal(err)
	}
	d, err := OpenPcap(PcapConfig{Source: path, MAC: frame.MAC{2}})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]frame.Frame, 4)
	for range 3 {
		if n, err := d.Read(batch); n != 1 || err != nil || len(batch[0].Bytes()) != 60 {
			t.Fatalf("%d frames, %v", n, err)
		}
		if _, err := pipe.Write(first[pcapHeaderLen:]); err != nil {
			t.Fatal(err)
		}
	}
	read := make(chan error)
	go func() {
		var err error
		for n := 1; n > 0 && err == nil; {
			n, err = d.Read(batch)
		}
		read <- err
	}()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; err != net.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}
