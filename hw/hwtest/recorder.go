package hwtest

import (
	"fmt"
	"runtime"
	"testing"
)

// recorder is a testing.TB that keeps what was said. Only the methods that the
// suite and drivers' openings use are there; others panic on the nil TB.
type recorder struct {
	testing.TB
	name     string
	said     []string
	cleanups []func()
}

// record runs a test as package testing does, in a goroutine that Fatalf can
// end, and returns what it complained about.
func record(name string, test func(t testing.TB)) []string {
	r := &recorder{name: name}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.clean()
		test(r)
	}()
	<-done
	return r.said
}

func (r *recorder) clean() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

func (r *recorder) Name() string              { return r.name }
func (r *recorder) Helper()                   {}
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool              { return len(r.said) != 0 }
func (r *recorder) Log(args ...any)           {}
func (r *recorder) Logf(s string, a ...any)   {}
func (r *recorder) Error(args ...any)         { r.said = append(r.said, fmt.Sprint(args...)) }
func (r *recorder) Errorf(s string, a ...any) { r.said = append(r.said, fmt.Sprintf(s, a...)) }

func (r *recorder) FailNow() {
	if len(r.said) == 0 {
		r.said = append(r.said, "failed")
	}
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	r.FailNow()
}

func (r *recorder) Fatalf(s string, a ...any) {
	r.Errorf(s, a...)
	r.FailNow()
}
