// Package task is what the guest's first process is given and what it says: the
// words that tests/arm and tests/arm/init share. It does nothing itself.
package task

// File is where the job is in the guest, as JSON.
const File = "/etc/job.json"

// Job is what the guest does.
type Job struct {
	Modules []string // files, in the order of loading
	Tasks   []Task
}

// Task is a program that the guest runs.
type Task struct {
	Path string
	Args []string
	Env  []string
}

// Lines of the guest's first process begin with Mark. What follows is Begins or
// Ended with the task's number from 0 and its exit status, or Done, or Fault and
// what went wrong in setting up.
const (
	Mark   = "guest: "
	Begins = "task %d begins"
	Ended  = "task %d ended with status %d"
	Done   = "done"
	Fault  = "fault: "
)
