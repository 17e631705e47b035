package bare

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// threadTime is the processor time of a thread of this process: the first
// number of its schedstat, in nanoseconds.
func threadTime(id int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", id))
	if err != nil {
		return 0, err
	}
	used, _, _ := strings.Cut(string(text), " ")
	ns, err := strconv.ParseInt(used, 10, 64)
	return time.Duration(ns), err
}
