package wire

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"

	"spigate/board"
	"spigate/configs"
)

// BoardOf returns the board of [board] model, with the memory that it has here.
// proc is the root of /proc. "auto" is the board that this machine is; another
// name is that board, and the tables that go with the smaller of both memories:
// the board's, so that "spigate check" says on a desk what it will say there,
// or this machine's, so that a wrong name cannot use up what is not there.
func BoardOf(model string, proc fs.FS) (board.Board, error) {
	here := board.Detect(proc)
	if model == "auto" || model == here.Name {
		return here, nil
	}
	b, err := board.Find(model)
	if err != nil {
		names := []string{"auto"}
		for _, known := range board.Boards() {
			names = append(names, known.Name)
		}
		return board.Board{}, fmt.Errorf("%w%s", err, configs.DidYouMean(model, names))
	}
	if here.RAM > 0 && (b.RAM == 0 || here.RAM < b.RAM) {
		b = b.With(here.RAM)
	}
	return b, nil
}

// LoadOptions are those with which a configuration for this machine is loaded.
func LoadOptions(proc fs.FS) configs.Options {
	return configs.Options{Limits: func(model string) (configs.Limits, error) {
		b, err := BoardOf(model, proc)
		return configs.Limits{
			Flows: b.Memory.Flows, LSNSessions: b.Memory.LSNSessions,
			IKESessions: b.Memory.IKESessions, ESPSessions: b.Memory.ESPSessions, Connections: b.Memory.Connections,
		}, err
	}}
}

// memoryOf is what a configuration takes of a board: its limit, and the tables
// as [limits] says.
func memoryOf(c *configs.Config, b board.Board) board.Memory {
	return board.Memory{
		Limit: b.Memory.Limit, Flows: c.Limits.Flows, LSNSessions: c.Limits.LSNSessions,
		IKESessions: c.Limits.IKESessions, ESPSessions: c.Limits.ESPSessions, Connections: c.Limits.Connections,
	}
}

// CheckMemory warns of tables that cannot all be full on the board.
func CheckMemory(c *configs.Config, b board.Board) []configs.Warning {
	domains := max(1, len(c.Domains()))
	m := memoryOf(c, b)
	if m.Fits(domains) {
		return nil
	}
	text := fmt.Sprintf("full tables take %d MB, and %s leaves them %d MB of its %d MB: make them smaller, or leave sizes out", m.Tables(domains)>>20, b.Title, m.Limit/4*3>>20, b.RAM>>20)
	if domains > 1 {
		text += fmt.Sprintf("; each of the %d traffic domains has tables of its own", domains)
	}
	return []configs.Warning{c.Warning(text, "limits")}
}

// UseMemoryOf is UseMemory with the board that c is for.
func UseMemoryOf(c *configs.Config, log *slog.Logger) {
	if b, err := BoardOf(c.Board.Model, os.DirFS("/proc")); err == nil { // the loading has judged the name
		UseMemory(c, b, log)
	}
}

// UseMemory sets how much memory the process may use and logs it with the sizes
// of the tables. An operator's GOMEMLIMIT goes before the board's: the runtime
// has read it already.
func UseMemory(c *configs.Config, b board.Board, log *slog.Logger) {
	m := memoryOf(c, b)
	if m.Limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(m.Limit)
	}
	log.Info("board", "model", b.Name, "ram", b.RAM, "memory_limit", debug.SetMemoryLimit(-1), "flows", m.Flows, "lsn_sessions", m.LSNSessions,
		"ike_sessions", m.IKESessions, "esp_sessions", m.ESPSessions, "connections", m.Connections)
}
