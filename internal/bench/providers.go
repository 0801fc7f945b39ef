package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"

	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/internal/sim/simple"
)

// providers is the process of the simulated counterparts, whose phones answer by themselves. It is a
// process of its own so that its part of the processors can be told from the benchmark's.
type providers struct {
	URL, LinkID, SecretKey, ClientCode string
	Roots                              []byte

	process *exec.Cmd
	stdin   io.Closer
}

// Providers serves the simulated providers for so many people, on a free port that it tells on out, until
// the context ends or in, the parent's end of a pipe, closes.
func Providers(ctx context.Context, people int, in io.Reader, out io.Writer) error {
	config := simple.Config{AutoApprove: true}
	for i := range people {
		config.People = append(config.People, person(i))
	}
	s, err := simple.New(config)
	if err != nil {
		return err
	}
	listener, err := sim.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.APIHandler())
	mux.Handle("/Time", s.AuthHandler())
	mux.Handle("/BAROCERT/", s.AuthHandler())
	err = json.NewEncoder(out).Encode(providers{
		URL: "http://" + listener.Addr().String(), LinkID: s.LinkID(), SecretKey: s.SecretKey(), ClientCode: s.ClientCode(), Roots: s.Roots(),
	})
	if err != nil {
		return fmt.Errorf("bench: providers: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in) // its end is the message
	}()
	return sim.Serve(ctx, listener, mux)
}

// startProviders runs this program's providers subcommand.
func startProviders(ctx context.Context, command []string) (*providers, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // this program
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: providers: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: providers: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: providers: %w", err)
	}
	p := &providers{process: cmd, stdin: in}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(p); err != nil {
		p.stop()
		return nil, fmt.Errorf("bench: providers: %w", err)
	}
	return p, nil
}

func (p *providers) stop() {
	p.stdin.Close()
	_ = p.process.Wait() // it has nothing to say any more
}

func (p *providers) pid() int { return p.process.Process.Pid }
