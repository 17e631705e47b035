package report

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine says what was measured on, without anybody's names.
func Machine() string {
	return fmt.Sprintf("Linux %s, %s, %d processors, %s", kernel(), processor(), runtime.NumCPU(), runtime.Version())
}

// kernel is its version alone: what follows the numbers is its builder's.
func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "of an unknown version"
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(text)), "-")
	return version
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // without it the architecture must do
	for _, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
