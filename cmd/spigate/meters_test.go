package main

import "spigate/cmd/internal/control"

func (h *house) Meters() control.Metered { return control.Metered{} }
