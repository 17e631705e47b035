package flash

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds. A configuration of a few thousand objects has some hundred kilobytes.
const (
	MaxText    = 1 << 20 // bytes of a configuration
	MaxComment = 200     // bytes
	MaxBy      = 64      // bytes

	maxSeal = 2048 // bytes of the last line, with room for a comment in escapes
	maxFile = MaxText + 1 + maxSeal
)

// Note is what a slot remembers beside its text. All parts may be left out.
type Note struct {
	Time    time.Time     // when it was written, by the caller's clock; kept in seconds, UTC
	By      string        // who wanted it, at most MaxBy bytes
	Comment string        // at most MaxComment bytes
	Confirm time.Duration // how long there was to confirm it, in whole seconds; 0: it was for good
	Fate    Fate          // of a revision
}

// Image is the content of a slot.
type Image struct {
	Text     []byte
	Sequence uint64 // greater than that of what was written before; slots written together have the same
	Note     Note
}

// sealWords begin the last line. The number is the format's version.
const (
	sealWords = "# spigate slot "
	sealOne   = sealWords + "1 "
	sumWord   = " sha256="

	byWord      = " by="
	commentWord = " comment="
)

// encode returns the file of an image: its text, and behind it, on a line of its
// own, the seal:
//
//	# spigate slot 1 length=N sequence=N [time=T] [confirm=N] [fate=WORD] [by="…"] [comment="…"] sha256=HEX
//
// The sum is over every byte before " sha256=". The seal is a comment, so that
// the file is itself a configuration, and the last line, so that the lines of
// the text keep their numbers.
func encode(i Image) []byte {
	var b bytes.Buffer
	b.Write(i.Text)
	if n := len(i.Text); n > 0 && i.Text[n-1] != '\n' {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%slength=%d sequence=%d", sealOne, len(i.Text), i.Sequence)
	if !i.Note.Time.IsZero() {
		b.WriteString(" time=" + i.Note.Time.UTC().Format(time.RFC3339))
	}
	if i.Note.Confirm > 0 {
		fmt.Fprintf(&b, " confirm=%d", i.Note.Confirm/time.Second)
	}
	if i.Note.Fate != "" {
		b.WriteString(" fate=" + string(i.Note.Fate))
	}
	if i.Note.By != "" {
		b.WriteString(byWord + strconv.QuoteToASCII(i.Note.By))
	}
	if i.Note.Comment != "" {
		b.WriteString(commentWord + strconv.QuoteToASCII(i.Note.Comment))
	}
	return sealed(b.Bytes())
}

// sealed adds the sum over a file to it.
func sealed(file []byte) []byte {
	return fmt.Appendf(file, "%s%x\n", sumWord, sha256.Sum256(file))
}

// decode is the reverse of encode. The error says what is wrong with a file that
// is not exactly what encode wrote.
func decode(file []byte) (Image, error) {
	switch {
	case len(file) == 0:
		return Image{}, errors.New("the file is empty")
	case len(file) > maxFile:
		return Image{}, fmt.Errorf("the file has more than %d bytes", maxFile)
	case len(bytes.Trim(file, "\x00")) == 0:
		return Image{}, errors.New("the file is all zeros, as a power cut leaves what never reached the flash")
	}
	start := bytes.LastIndexByte(file[:len(file)-1], '\n') + 1
	seal := string(file[start:])
	if !strings.HasPrefix(seal, sealWords) || !strings.HasSuffix(seal, "\n") {
		return Image{}, errors.New("the file does not end with a seal: it is cut short, or was written by hand")
	}
	end := strings.LastIndex(seal, sumWord)
	if end < 0 {
		return Image{}, errors.New("the seal at the end of the file has no checksum")
	}
	sum := sha256.Sum256(file[:start+end])
	if seal[end+len(sumWord):] != hex.EncodeToString(sum[:])+"\n" {
		return Image{}, errors.New("the checksum is wrong: the file is damaged, or was changed by hand")
	}
	if !strings.HasPrefix(seal, sealOne) {
		return Image{}, fmt.Errorf("the seal %.40q is of another version of the format, this build reads 1", seal)
	}
	i, err := unseal(seal[len(sealOne):end], file[:start])
	if err == nil && !bytes.Equal(encode(i), file) {
		err = errors.New("the seal is not as it should be written")
	}
	if err != nil {
		return Image{}, err
	}
	return i, nil
}

// unseal reads the words of a seal, which stands behind body.
func unseal(words string, body []byte) (i Image, err error) {
	if i.Note.By, words, err = quoted(words, byWord); err != nil {
		return i, err
	}
	if i.Note.Comment, words, err = quoted(words, commentWord); err != nil {
		return i, err
	}
	length := uint64(0)
	for _, word := range strings.Fields(words) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "length":
			length, err = strconv.ParseUint(value, 10, 32)
		case "sequence":
			i.Sequence, err = strconv.ParseUint(value, 10, 64)
		case "confirm":
			seconds := uint64(0)
			seconds, err = strconv.ParseUint(value, 10, 32)
			i.Note.Confirm = time.Duration(seconds) * time.Second
		case "fate":
			i.Note.Fate = Fate(value)
		case "time":
			i.Note.Time, err = time.Parse(time.RFC3339, value)
		default:
			err = errors.New("an unknown word")
		}
		if err != nil {
			return i, fmt.Errorf("%.60q in the seal: %w", word, err)
		}
	}
	if length > uint64(len(body)) || len(body) > int(length)+1 {
		return i, fmt.Errorf("the seal is for %d bytes, and %d stand before it", length, len(body))
	}
	i.Text = body[:length:length]
	return i, check(i)
}

// quoted takes the text in quotes behind a word out of the words of a seal. Words
// that look alike in the text do not count: it is the first that does.
func quoted(words, word string) (text, rest string, err error) {
	before, behind, has := strings.Cut(words, word)
	if !has || strings.Contains(before, "\"") {
		return "", words, nil
	}
	in, err := strconv.QuotedPrefix(behind)
	if err == nil {
		text, err = strconv.Unquote(in)
	}
	if err != nil {
		return "", words, fmt.Errorf("the text behind%s in the seal cannot be read", word)
	}
	return text, before + behind[len(in):], nil
}

// check says why an image cannot be written.
func check(i Image) error {
	switch n := len(i.Text); {
	case n == 0:
		return errors.New("the configuration is empty")
	case n > MaxText:
		return fmt.Errorf("the configuration has %d bytes; at most %d are kept", n, MaxText)
	case len(i.Note.Comment) > MaxComment:
		return fmt.Errorf("the comment has %d bytes; at most %d are kept", len(i.Note.Comment), MaxComment)
	case len(i.Note.By) > MaxBy:
		return fmt.Errorf("the name of who wants it has %d bytes; at most %d are kept", len(i.Note.By), MaxBy)
	}
	return checkFate(i.Note.Fate)
}
