// Package wire is what the test and the agent in the guest say to each other:
// one JSON object on a line, requests to the guest, answers from it.
//
// The agent says Ready first, by itself, with ID 0. Requests are carried out
// at the same time; answers come in the order in which they are done. A
// request with Path writes a file, any other runs a shell command, with NS in
// the namespace of that host and with a /run of its own.
package wire

import "time"

// Ready is what the agent says when it can take requests.
const Ready = "ready"

// PortName is the name of the serial port between test and agent.
const PortName = "agent"

// Request asks for one command, or for one file to be written.
type Request struct {
	ID      int           `json:"id"`
	NS      string        `json:"ns,omitempty"` // host; empty: the guest itself
	Command string        `json:"command,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"` // the command is killed after it
	Path    string        `json:"path,omitempty"`    // file to write, with Data, mode 0600
	Data    string        `json:"data,omitempty"`
}

// Answer says what became of a request.
type Answer struct {
	ID     int    `json:"id"`
	Status int    `json:"status"` // exit status; 255: it could not be run, or was killed
	Output string `json:"output"` // both streams
}
