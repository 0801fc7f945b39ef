// Package chromium drives a real Chromium for end-to-end tests: one process, and in it any number of
// browsers that share nothing with each other. A browser records what a citizen would not see: requests
// to hosts that the test did not allow, console errors, exceptions, refusals by the content security
// policy. They fail the test when it ends.
package chromium

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/chromedp/chromedp"
)

// TB is the part of testing.TB that is needed here.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// names are what the program is called, the one of Debian first.
var names = []string{"chromium", "chromium-browser", "google-chrome"}

func find() (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("chromium: a browser is needed: install chromium (Debian: apt-get install chromium fonts-noto-cjk)")
}

// process is the running Chromium of this test binary.
var process struct {
	sync.Mutex
	ctx  context.Context
	stop func()
}

// start returns the context of the running process, which the first call starts.
func start() (context.Context, error) {
	process.Lock()
	defer process.Unlock()
	if process.ctx != nil {
		return process.ctx, nil
	}
	path, err := find()
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.DisableGPU,
		chromedp.Flag("force-prefers-reduced-motion", true), // frames of a spinner cost more than the page
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		// Nothing but this machine has a name, so a request elsewhere fails besides being recorded.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1"),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, free := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		free()
		return nil, fmt.Errorf("chromium: start %s: %w", path, err)
	}
	process.ctx = ctx
	process.stop = func() {
		patient, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_ = chromedp.Cancel(patient) // the allocator ends what does not close by itself
		free()
	}
	return ctx, nil
}

// Stop ends the process, if one was started, and removes its profile. Call it at the end of TestMain.
func Stop() {
	process.Lock()
	defer process.Unlock()
	if process.ctx != nil {
		process.stop()
		process.ctx = nil
	}
}
