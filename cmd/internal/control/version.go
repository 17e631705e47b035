package control

import (
	"runtime"
	"runtime/debug"
)

// Version is the row of "version": what this binary was built from.
type Version struct {
	Version      string `json:"version"`       // of the module, "(devel)" for a plain build
	Revision     string `json:"revision"`      // of the version control system, "" if unknown
	RevisionTime string `json:"revision_time"` // RFC 3339
	Modified     bool   `json:"modified"`      // built from a changed tree
	Go           string `json:"go"`
	OS           string `json:"os"`
	Arch         string `json:"arch"`
}

// BuildVersion reads what the linker wrote into this binary.
func BuildVersion() Version {
	v := Version{Version: "(devel)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.RevisionTime = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
