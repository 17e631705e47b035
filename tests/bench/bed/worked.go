package bed

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ProcessWorked is the CPU time of a process's threads so far. A thread that
// ended between two calls takes its time with it; a forwarder's stay.
func ProcessWorked(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err == nil && len(tasks) == 0 {
		err = os.ErrNotExist
	}
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	var sum time.Duration
	for _, t := range tasks {
		sum += onCPU(t)
	}
	return sum, nil
}

// onCPU reads a thread's CPU time, the first number of its schedstat in
// nanoseconds; 0 for one that has just ended.
func onCPU(schedstat string) time.Duration {
	text, err := os.ReadFile(schedstat)
	fields := strings.Fields(string(text))
	if err != nil || len(fields) == 0 {
		return 0
	}
	ns, _ := strconv.ParseInt(fields[0], 10, 64) // a word there would be another kernel's
	return time.Duration(ns)
}
