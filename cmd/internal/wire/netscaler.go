package wire

import (
	"spigate/cmd/internal/control"
	"spigate/configs/dialect/netscaler"
)

// NetScalerConfig implements control.NetScaler.
func (v *views) NetScalerConfig() (out []control.NetScalerLine) {
	for _, l := range netscaler.List(v.config.Load()) {
		out = append(out, control.NetScalerLine{Kind: l.Kind, Name: l.Name, Command: l.Text})
	}
	return out
}
