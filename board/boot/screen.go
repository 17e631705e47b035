package boot

import (
	"fmt"
	"io"
)

// screen writes to the console. What is written waits in a queue of its own: a
// serial line is slow, and a terminal may not be there at all.
type screen struct {
	queue chan []byte
	shown uint64 // number of the next line of the log to be shown
	held  bool   // a command is printing: the log waits, so that neither tears the other
	fresh bool   // the cursor is behind a prompt
}

// queued is how many pieces may wait for the console.
const queued = 256

func newScreen(w io.Writer) *screen {
	s := &screen{queue: make(chan []byte, queued)}
	go func() {
		for p := range s.queue {
			w.Write(p) // a console that is gone is nobody's to tell
		}
	}()
	return s
}

// Write waits until there is room. It is for commands, never for process 1.
func (s *screen) Write(p []byte) (int, error) {
	s.queue <- append([]byte(nil), p...)
	return len(p), nil
}

// offer writes if there is room.
func (s *screen) offer(text string) bool {
	select {
	case s.queue <- []byte(text):
		return true
	default:
		return false
	}
}

// follow shows what is new in the log, as far as there is room.
func (s *screen) follow(r *Ring) {
	for !s.held {
		line, next, lost, ok := r.Line(s.shown)
		if !ok {
			return
		}
		text := line + "\n"
		if lost > 0 {
			text = fmt.Sprintf("(%d lines were not shown)\n%s", lost, text)
		}
		if s.fresh {
			text = "\n" + text
		}
		if !s.offer(text) {
			return
		}
		s.shown, s.fresh = next, false
	}
}

const prompt = "spigate> "

// invite shows the prompt.
func (s *screen) invite() {
	s.held = false
	s.fresh = s.offer(prompt)
}
