package files

import (
	"bytes"
	"debug/elf"
	"fmt"
	"strings"
)

// Info is what a module says about itself.
type Info struct {
	Depends []string // names of modules that must be there before
	Pre     []string // names or aliases that should be there before (softdep)
	Aliases []string
}

// Read reads a module's file.
func Read(data []byte) (Info, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return Info{}, err
	}
	s := f.Section(".modinfo")
	if s == nil {
		return Info{}, fmt.Errorf("no .modinfo")
	}
	text, err := s.Data()
	if err != nil {
		return Info{}, err
	}
	return parseInfo(text), nil
}

// parseInfo reads the lines KEY=VALUE, each ended by a zero byte.
func parseInfo(text []byte) Info {
	var in Info
	for _, line := range bytes.Split(text, []byte{0}) {
		key, value, _ := strings.Cut(string(line), "=")
		switch key {
		case "depends":
			in.Depends = append(in.Depends, split(value)...)
		case "softdep":
			in.Pre = append(in.Pre, before(value)...)
		case "alias":
			in.Aliases = append(in.Aliases, value)
		}
	}
	return in
}

// split reads "a,b"; the kernel writes "depends=" for none.
func split(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
}

// before returns the names between "pre:" and "post:".
func before(value string) []string {
	var names []string
	pre := false
	for _, word := range strings.Fields(value) {
		switch word {
		case "pre:", "post:":
			pre = word == "pre:"
		default:
			if pre {
				names = append(names, word)
			}
		}
	}
	return names
}
