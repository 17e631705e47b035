package control

import (
	"time"

	"spigate/configs"
)

// Editor edits the text of the daemon's configuration. It is asked in process
// alone, by the web pages: who has the text edits that.
type Editor interface {
	// ConfigObjects returns the named tables below a path, {"lsn", "pool"}, of what
	// runs, and what they were read from.
	ConfigObjects(path ...string) (ConfigObjects, error)
	// EditConfig changes the text that runs, checks it, and applies it if that is
	// wanted. Faults (see configs.Faults) have the lines of the changed text. After
	// an error nothing has changed.
	EditConfig(e ConfigEdit) (ConfigEdited, error)
}

// ConfigObjects are tables of a text.
type ConfigObjects struct {
	Base    string // names the text
	Objects []configs.Object
}

// CodeOutdated is the code of a refusal: another configuration has been applied
// since the one that was looked at.
const CodeOutdated = "outdated"

// ConfigEdit is a change of the configuration.
type ConfigEdit struct {
	Base    string // of the text that it was thought of for; CodeOutdated if another one runs now
	Changes []configs.Change
	Apply   bool // false: nothing changes, the answer says what would

	By, Comment string        // as those of ConfigNew
	Confirm     time.Duration // likewise
}

// ConfigEdited is what a change is, or was.
type ConfigEdited struct {
	Diff     ConfigDiff
	Warnings []ConfigFinding
	Applied  *ConfigApplied // null: it was not
}
