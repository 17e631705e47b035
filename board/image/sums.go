package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// sum is the SHA-256 in hexadecimal digits.
func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// sums is the file that "sha256sum -c" reads.
func sums(all []output) []byte {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b output) int { return strings.Compare(a.name, b.name) })
	var b bytes.Buffer
	for _, o := range sorted {
		fmt.Fprintf(&b, "%s  %s\n", sum(o.data), o.name)
	}
	return b.Bytes()
}
