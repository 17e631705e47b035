package boot

import (
	"io"
	"os"
	"syscall"
)

// job is a command of the console under way.
type job struct {
	pid      int // 0: it is one of our own
	input    chan Typed
	inputs   bool // it reads what is typed
	asked    bool // it was asked to end
	output   chan struct{}
	reaped   bool
	finished bool // nothing of its output is missing
	status   syscall.WaitStatus
}

// startJob runs this program with other words. Its output goes to w. One whose
// last word is "-" reads what is typed until Ctrl-D.
func startJob(sys System, words, env []string, w io.Writer) (*job, error) {
	j := &job{output: make(chan struct{}), inputs: words[len(words)-1] == "-"}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer outWrite.Close()
	in, feed, err := j.standardInput()
	if err != nil {
		outRead.Close()
		return nil, err
	}
	defer in.Close()
	j.pid, err = sys.Start(words, env, [3]*os.File{in, outWrite, outWrite})
	if err != nil {
		outRead.Close()
		if feed != nil {
			feed.Close()
		}
		return nil, err
	}
	go func() {
		defer close(j.output)
		defer outRead.Close()
		io.Copy(w, outRead)
	}()
	if feed != nil {
		j.input = make(chan Typed, 16)
		go pass(j.input, feed)
	}
	return j, nil
}

// standardInput is a pipe, or nothing at all.
func (j *job) standardInput() (in, feed *os.File, err error) {
	if j.inputs {
		return os.Pipe()
	}
	in, err = os.Open(os.DevNull)
	return in, nil, err
}

// pass hands typed lines to a command until the end of input.
func pass(typed <-chan Typed, feed *os.File) {
	defer feed.Close()
	for t := range typed {
		if t.End {
			break
		}
		if _, err := io.WriteString(feed, t.Line+"\n"); err != nil {
			break
		}
	}
	for range typed { // whoever types is never kept waiting
	}
}

// print is a job that shows a text.
func print(text string, w io.Writer) *job {
	j := &job{output: make(chan struct{}), reaped: true}
	go func() {
		defer close(j.output)
		io.WriteString(w, text)
	}()
	return j
}

// interrupt asks a command to end, and at the second time ends it.
func (j *job) interrupt(sys System) {
	s := syscall.SIGINT
	if j.asked {
		s = syscall.SIGKILL
	}
	j.asked = true
	if j.pid != 0 && !j.reaped {
		sys.Signal(j.pid, s) // gone is as good
	}
}

// done reports whether the command has ended and all of its output was seen.
func (j *job) done() bool { return j.reaped && j.finished }
