package flash

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Revisions is how many earlier configurations are kept.
const Revisions = 10

// maxRevision bounds the file of a revision: what cannot be compressed grows a
// little.
const maxRevision = maxFile + maxFile/100 + 1024

// Revision is an earlier configuration.
type Revision struct {
	Sequence uint64 // its file's name has it
	Path     string
	Image          // of Note.Fate and of a sequence number that is Sequence
	Fault    error // why it cannot be read; then there is no Image
}

// The names of their files. The number is the sequence number: a file is written
// once, and none has to be renamed when another is added.
const (
	revisionStart = "revision-"
	revisionEnd   = ".toml.gz"
)

// maxSequence bounds the numbers in names, so that one more is always a number.
const maxSequence = 1e15

// revision is the file of a sequence number.
func (s *Store) revision(sequence uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s%06d%s", revisionStart, sequence, revisionEnd))
}

// sequences are those of all revisions that are there, the newest first.
func (s *Store) sequences() (out []uint64) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil
	}
	for _, name := range names {
		number, is := strings.CutPrefix(name, revisionStart)
		number, ends := strings.CutSuffix(number, revisionEnd)
		n, err := strconv.ParseUint(number, 10, 64)
		if is && ends && err == nil && n < maxSequence && filepath.Base(s.revision(n)) == name {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b uint64) int { return cmp.Compare(b, a) })
	return out
}

// prune removes the revisions that are too many. That it cannot is no fault: the
// next change tries again.
func (s *Store) prune() {
	all := s.sequences()
	for _, n := range all[min(Revisions, len(all)):] {
		discard(s.fs, s.revision(n))
	}
}

// giveWay removes the oldest revision to make room, but never the last one.
func (s *Store) giveWay() bool {
	all := s.sequences()
	return len(all) > 1 && s.fs.Remove(s.revision(all[len(all)-1])) == nil
}

// History returns the newest revisions, the newest first, also those that cannot
// be read. What a slot has is none of them.
func (s *Store) History() []Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, has := s.look()
	var out []Revision
	for _, n := range s.sequences() {
		if len(out) == Revisions {
			break
		}
		if c := has[Confirmed]; c.whole && c.image.Sequence == n || pending(has) && has[Running].image.Sequence == n {
			continue
		}
		r := Revision{Sequence: n, Path: s.revision(n)}
		r.Image, r.Fault = s.readRevision(n)
		out = append(out, r)
	}
	return out
}

func (s *Store) readRevision(n uint64) (Image, error) {
	file, err := s.fs.Read(s.revision(n), maxRevision+1)
	if err != nil {
		return Image{}, reason(err)
	}
	i, err := decompress(file)
	if err == nil && i.Sequence != n {
		return Image{}, fmt.Errorf("it is of sequence number %d", i.Sequence)
	}
	return i, err
}

// compress returns the file of a revision: that of a slot, in gzip's form, which
// zcat reads on a rescue console.
func compress(i Image) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a level that there is
	// Writing to memory does not fail.
	_, _ = z.Write(encode(i))
	_ = z.Close()
	return b.Bytes()
}

// decompress is the reverse of compress. What would not fit is not unpacked.
func decompress(file []byte) (Image, error) {
	switch {
	case len(file) == 0:
		return Image{}, errors.New("the file is empty")
	case len(file) > maxRevision:
		return Image{}, fmt.Errorf("the file has more than %d bytes", maxRevision)
	}
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return Image{}, fmt.Errorf("the file cannot be unpacked: %w", err)
	}
	z.Multistream(false)
	plain, err := io.ReadAll(io.LimitReader(z, maxFile+1))
	if err != nil {
		return Image{}, fmt.Errorf("the file cannot be unpacked: %w", err)
	}
	return decode(plain)
}
