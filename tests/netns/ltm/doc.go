// Package ltm tests virtual servers, NATs and SNATs as people meet them: the
// daemon between real kernels, real TCP through it, and the pages that it
// prints about that. The rules are VR1 to VR46; connections in every detail
// are tested in netstack/vserver and netstack, by hand-moved clocks.
package ltm
