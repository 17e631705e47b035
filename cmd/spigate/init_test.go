package main

import "testing"

func TestOnlyTheKernelsFirstProcessIsInit(t *testing.T) {
	for _, c := range []struct {
		pid  int
		args []string
		want bool
	}{
		{1, []string{"/init"}, true},
		{1, []string{"init", "splash"}, true},           // words that the kernel did not know
		{1, []string{"/usr/bin/spigate", "run"}, false}, // a container
		{42, []string{"/init", "show", "status"}, false},
		{1, nil, false},
	} {
		if got := isInit(c.pid, c.args); got != c.want {
			t.Errorf("process %d %q: %v", c.pid, c.args, got)
		}
	}
}
