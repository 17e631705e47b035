package main

import _ "embed"

// runScript starts the image; it goes into the image as it is.
//
//go:embed run.sh
var runScript string
