package link

import (
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel does not go on from a cell that it finds fault with. Going on
// ourselves, we would fill cells that it never comes to, for ever.
func TestASenderAndTheKernelGoOnAtTheSameCell(t *testing.T) {
	const sending, refused = unix.TP_STATUS_SENDING, unix.TP_STATUS_WRONG_FORMAT
	for name, c := range map[string]struct {
		left [4]uint32 // the cells behind the call, in their order
		sent int
	}{
		"all sent":              {[4]uint32{0, sending, 0, sending}, 4},
		"a device that is full": {[4]uint32{0, sending, unix.TP_STATUS_SEND_REQUEST, unix.TP_STATUS_SEND_REQUEST}, 2},
		"a frame it refuses":    {[4]uint32{0, refused, unix.TP_STATUS_SEND_REQUEST, unix.TP_STATUS_SEND_REQUEST}, 1},
		"a port that is down":   {[4]uint32{unix.TP_STATUS_SEND_REQUEST, unix.TP_STATUS_SEND_REQUEST, unix.TP_STATUS_SEND_REQUEST, unix.TP_STATUS_SEND_REQUEST}, 0},
	} {
		s := &sender{mem: make([]byte, 5*cacheLine), blockSize: 5 * cacheLine, cellSize: cacheLine, perBlock: 5, cells: 5, next: 2}
		for k, status := range c.left {
			atomic.StoreUint32(word(s.cell((3+k)%5), 0), status)
		}
		if sent := s.taken(3, 4); sent != c.sent {
			t.Errorf("%s: %d sent, want %d", name, sent, c.sent)
		}
		if want := (3 + c.sent) % 5; s.next != want {
			t.Errorf("%s: goes on at cell %d, the kernel at %d", name, s.next, want)
		}
		for k := c.sent; k < 4; k++ {
			if status := atomic.LoadUint32(word(s.cell((3+k)%5), 0)); status != unix.TP_STATUS_AVAILABLE {
				t.Errorf("%s: cell %d is left with %#x", name, k, status)
			}
		}
	}
}
