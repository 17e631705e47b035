package bucket

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program prints for each line of its input what C makes of it.
const program = `
#include <stdio.h>
#include <stdint.h>
#include <stddef.h>
typedef uint8_t __u8; typedef uint16_t __u16; typedef uint32_t __u32; typedef uint64_t __u64;
#include "bucket.h"
int main(void)
{
	struct { __u64 addrs; __u32 id, scope, n; struct bucket_seed s; } v;
	union { __u64 addrs; __u32 half[2]; } a;

	_Static_assert(sizeof(struct bucket_entry) == 32 && sizeof(struct bucket) == BUCKET_SIZE, "size");
	_Static_assert(offsetof(struct bucket_entry, id) == 8 && offsetof(struct bucket_entry, tag) == 12, "key");
	_Static_assert(offsetof(struct bucket_entry, addr) == 16 && offsetof(struct bucket_entry, hop) == 22, "value");
	_Static_assert(offsetof(struct bucket_entry, count) == 24, "count");
	while (scanf("%lx %x %x %u %x %x %x %x", &v.addrs, &v.id, &v.scope, &v.n, &v.s.k0, &v.s.k1, &v.s.k2, &v.s.k3) == 8) {
		a.addrs = v.addrs;
		__u64 h = bucket_hash(a.half[0], a.half[1], v.id, v.scope, &v.s);
		printf("%lx %u %u %u\n", h, bucket_first(h, v.n), bucket_second(h, v.n), bucket_preferred(h));
	}
	return 0;
}
`

func TestGoAndCHashAlike(t *testing.T) {
	dir := t.TempDir()
	source, bin := filepath.Join(dir, "vectors.c"), filepath.Join(dir, "vectors")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-Wall", "-Wno-format", "-Werror", "-I.", "-o", bin, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var in, want strings.Builder
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		k, s, n := MakeKey(r.Uint64(), r.Uint32(), uint8(r.Uint32()), uint8(r.Uint32())), Seed{r.Uint64(), r.Uint64()}, uint64(r.Uint32())
		fmt.Fprintf(&in, "%x %x %x %d %x %x %x %x\n", k.Addrs(), k.ID(), k.scope(), n,
			uint32(s[0]), uint32(s[0]>>32), uint32(s[1]), uint32(s[1]>>32))
		h := s.hash(k)
		fmt.Fprintf(&want, "%x %d %d %d\n", h, first(h, n), second(h, n), preferred(h))
	}
	cmd := exec.Command(bin)
	cmd.Stdin = strings.NewReader(in.String())
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want.String() {
		t.Errorf("C gives\n%.300s\nGo gives\n%.300s", got, want.String())
	}
}
