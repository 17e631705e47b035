package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"
)

func (a *app) newWeb() *cobra.Command { return newGroup("web", "The web pages", a.newWebPassword()) }

// Bounds of a password, in bytes: bcrypt looks at no more than the second.
const (
	leastPassword = 8
	mostPassword  = 72
)

func (a *app) newWebPassword() *cobra.Command {
	cost := 11
	cmd := &cobra.Command{
		Use: "password", Short: "Read a password and print its hash, for [web.user.NAME]",
		Long: `Reads a password, at a terminal without showing it and twice, else the first line
of stdin, and prints the hash that stands in the configuration:

  [web.user.admin]
  password = "HASH"
  role = "admin"

A log-in takes the router twice as long for each step of the cost: at 11 about
a tenth of a second on a fast machine, and a second on a small one.`,
		Example: "  spigate web password\n  spigate web password --cost 12",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cost < 10 || cost > 14 {
				return usagef("--cost: want 10 to 14, not %d", cost)
			}
			password, err := askPassword(cmd.InOrStdin(), a.errs)
			if err != nil {
				return err
			}
			hash, err := bcrypt.GenerateFromPassword(password, cost)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s\n", hash)
			return err
		},
	}
	cmd.Flags().IntVar(&cost, "cost", cost, "`STEPS` of work, 10 to 14")
	return cmd
}

// askPassword reads a password from a terminal or a file.
func askPassword(in io.Reader, talk io.Writer) ([]byte, error) {
	password := func(string) ([]byte, error) { return readLine(in) }
	terminal, again := in.(*os.File)
	if again {
		_, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		again = err == nil
	}
	if again {
		password = func(prompt string) ([]byte, error) { return hidden(terminal, talk, prompt) }
	}
	first, err := password("Password: ")
	switch {
	case err != nil:
		return nil, err
	case len(first) < leastPassword || len(first) > mostPassword:
		return nil, fmt.Errorf("a password has %d to %d bytes, this one has %d", leastPassword, mostPassword, len(first))
	case !again:
		return first, nil
	}
	second, err := password("Once more: ")
	if err == nil && string(first) != string(second) {
		err = errors.New("the two are not the same: start again")
	}
	return first, err
}

// readLine reads the first line, of a bounded length.
func readLine(in io.Reader) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(in, mostPassword+3)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	return []byte(strings.TrimRight(line, "\r\n")), nil
}

// hidden reads a line that the terminal does not show. Whatever ends us
// meanwhile, the terminal shows what is typed again.
func hidden(terminal *os.File, talk io.Writer, prompt string) ([]byte, error) {
	fd := int(terminal.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("the terminal: %w", err)
	}
	silent := *was
	silent.Lflag &^= unix.ECHO
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-stop:
			unix.IoctlSetTermios(fd, unix.TCSETS, was)
			os.Exit(exitFailed)
		case <-done:
		}
	}()
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return nil, fmt.Errorf("the terminal: %w", err)
	}
	defer unix.IoctlSetTermios(fd, unix.TCSETS, was)
	io.WriteString(talk, prompt)
	defer io.WriteString(talk, "\n")
	return readLine(terminal)
}
