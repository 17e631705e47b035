package dsa

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxName bounds what is taken over from the kernel's texts.
const maxName = 64

// chipName says which chip the ports are of: the device tree's word for it, and
// the kernel's driver. bus is /sys/bus.
func chipName(bus fs.FS, ports []*link) string {
	var names []string
	for _, p := range ports {
		if name := nameOf(bus, p); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " and ")
}

func nameOf(bus fs.FS, p *link) string {
	if p.kind != "dsa" {
		return "bridge of the kernel"
	}
	device := path.Join(p.ParentDevBus, "devices", p.ParentDev)
	if p.ParentDev == "" || !fs.ValidPath(device) {
		return "a DSA switch"
	}
	driver := "DSA"
	if text, err := fs.ReadLink(bus, path.Join(device, "driver")); err == nil {
		driver = word(path.Base(text))
	}
	model := word(p.ParentDev)
	// A list of words, the narrowest first, each with a zero at its end.
	if text, err := fs.ReadFile(bus, path.Join(device, "of_node", "compatible")); err == nil && len(text) > 0 {
		model, _, _ = strings.Cut(string(text), "\x00")
		model = word(model)
	}
	return fmt.Sprintf("%s (driver %s)", model, driver)
}

// word keeps a text of the kernel fit for a message.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxName)]
}
