// Package testserver starts private PostgreSQL and Redis servers for tests, benchmarks and the demo.
//
// Each server has a temporary folder of its own, listens on a Unix socket or on loopback only, and
// keeps nothing. It ends with the process that started it, in whatever way that process ends, and its
// folder goes with it. Start functions give a server of one's own; the functions that take a TB share
// one server per process and give each caller a part of it that nobody else uses.
package testserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// TB is the part of testing.TB that is needed here, so that a program can link this package without
// package testing.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// startLimit bounds how long a server may take until it answers; a loaded machine is slow.
const startLimit = 60 * time.Second

// watchdog runs a server (the arguments after folder and signal) and ends it when standard input
// closes, which the kernel does for a parent that dies. It outlives the server only to remove the
// folder. A parent-death signal would do the first half only, on Linux only, and is bound to a thread.
const watchdog = `
folder=$1 signal=$2
shift 2
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ read -r _; kill -s "$signal" "$server"; } <&3 &
watcher=$!
wait "$server"
kill "$watcher" 2>/dev/null
rm -rf "$folder"
`

// process is a running server under its watchdog.
type process struct {
	folder string
	stdin  io.Closer
	output *tail
	exited chan struct{}
}

// start runs a server whose files are all in folder. The signal is what asks the server to end at once.
func start(folder, signal string, credential *syscall.Credential, command ...string) (*process, error) {
	p := &process{folder: folder, output: new(tail), exited: make(chan struct{})}
	cmd := exec.Command("sh", append([]string{"-c", watchdog, "sh", folder, signal}, command...)...)
	cmd.Dir = folder
	cmd.Stdout, cmd.Stderr = p.output, p.output
	// A group of its own: an interrupt typed at the terminal must not end the watchdog before its work.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("testserver: pipe to %s: %w", command[0], err)
	}
	p.stdin = stdin
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("testserver: start %s: %w", command[0], err)
	}
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // how it ended is told by its output
	}()
	return p, nil
}

// await calls ready until it returns nil. It stops the server and says why if that does not come.
func (p *process) await(ready func() error) error {
	deadline := time.Now().Add(startLimit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("testserver: the server ended at once: %s", p.output)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.stop()
			return fmt.Errorf("testserver: not ready after %s: %w: %s", startLimit, err, p.output)
		}
	}
}

// stop ends the server and returns when its folder is gone.
func (p *process) stop() {
	_ = p.stdin.Close() // a second stop finds it closed
	<-p.exited
}

// tail keeps the last output of a server, for the error message.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const keep = 4096
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text); n > keep {
		t.text = append(t.text[:0], t.text[n-keep:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// folder makes a temporary folder, owned by the credential if there is one.
func folder(name string, credential *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp("", "anyid-"+name)
	if err != nil {
		return "", fmt.Errorf("testserver: %w", err)
	}
	if credential != nil {
		if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return "", errors.Join(fmt.Errorf("testserver: %w", err), os.Remove(dir))
		}
	}
	return dir, nil
}
