package boot

import (
	"fmt"
	"strings"
)

// memory tells how much memory there is and who has it (proc(5)). Rss is what a
// process has in memory; Pss counts what several share, as the program's text,
// by shares.
func memory(sys System, router int) string {
	var out strings.Builder
	who := func(name, file string, keys ...string) {
		text, err := sys.Read(file, maxText)
		if err != nil {
			fmt.Fprintf(&out, "%-8s %v\n", name, err)
			return
		}
		fmt.Fprintf(&out, "%-8s", name)
		for _, key := range keys {
			fmt.Fprintf(&out, " %s %s", key, field(string(text), key))
		}
		out.WriteString("\n")
	}
	who("machine", "/proc/meminfo", "MemTotal", "MemFree", "MemAvailable", "Slab", "Shmem")
	who("init", "/proc/1/smaps_rollup", "Rss", "Pss", "Private_Dirty")
	if router != 0 {
		who("router", fmt.Sprintf("/proc/%d/smaps_rollup", router), "Rss", "Pss", "Private_Dirty")
		who("", fmt.Sprintf("/proc/%d/status", router), "VmHWM", "VmRSS", "RssFile", "Threads")
	}
	return out.String()
}

// field returns the value of a line "Key:   123 kB", with its unit.
func field(text, key string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(rest), " ")
		}
	}
	return "?"
}
