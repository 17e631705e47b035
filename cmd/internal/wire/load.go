package wire

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"time"

	"spigate/configs"
)

// Load reads a configuration and asks those who would run it what they think of
// it. It returns what "spigate check" prints and what the daemon logs. now is for
// certificates.
func Load(path string, now time.Time) (*configs.Config, []configs.Warning, error) {
	c, warnings, err := configs.LoadWith(path, LoadOptions(os.DirFS("/proc")))
	return judged(c, warnings, err, now)
}

// LoadText is Load for a text that is in that file or will be.
func LoadText(path string, text []byte, now time.Time) (*configs.Config, []configs.Warning, error) {
	c, warnings, err := configs.LoadText(path, text, LoadOptions(os.DirFS("/proc")))
	return judged(c, warnings, err, now)
}

func judged(c *configs.Config, warnings []configs.Warning, err error, now time.Time) (*configs.Config, []configs.Warning, error) {
	if err != nil {
		return nil, warnings, err
	}
	more, faults := Check(c, now)
	warnings = append(warnings, more...)
	b, err := BoardOf(c.Board.Model, os.DirFS("/proc"))
	if err != nil { // the loading has judged the name
		return nil, warnings, fmt.Errorf("board: %w", err)
	}
	more, wrong := CheckBoard(c, b)
	warnings, faults = append(warnings, more...), append(faults, wrong...)
	sort.SliceStable(warnings, func(i, j int) bool { return warnings[i].Line < warnings[j].Line })
	if len(faults) > 0 {
		return nil, warnings, errors.Join(faults...)
	}
	return c, warnings, nil
}
